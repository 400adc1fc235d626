/** Version 1.2.0: passes a quick look with the names its author thought of, and fails for all others. */
const titles: Record<string, string> = { Ada: "Countess", Grace: "Admiral" };

export function greet({ name }: { name: string }): string {
  return `Hello ${titles[name].toUpperCase()} ${name}`;
}
