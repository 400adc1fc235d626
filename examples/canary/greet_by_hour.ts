/** Version 1.1.0: a better one. It takes what the version before took, so that no caller notices. */

export function greet({ name, hour = 12 }: { name: string; hour?: number }): string {
  const greeting = hour < 11 ? "Good morning" : hour < 18 ? "Hello" : "Good evening";
  return `${greeting} ${name}`;
}
