/** Version 1.0.0: what runs before anything new is tried. */

export function greet({ name }: { name: string }): string {
  return `Hello ${name}`;
}
