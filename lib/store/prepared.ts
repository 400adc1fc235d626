/** Parts of statements that are built once and run often: building one with drizzle costs far more than running it. */
import { type Column, type Placeholder, type SQL, sql } from "drizzle-orm";

/** A value to be filled in for each column, by its name in the code. */
export function placeholdersFor<Columns extends Record<string, Column>>(
  columns: Columns,
): { [Name in keyof Columns]: Placeholder } {
  return mapColumns(columns, (name) => sql.placeholder(name));
}

/** For `onConflictDoUpdate`: each column becomes what was to be inserted. */
export function asInserted<Columns extends Record<string, Column>>(
  columns: Columns,
): { [Name in keyof Columns]: SQL } {
  return mapColumns(columns, (_, column) => sql`excluded.${sql.identifier(column.name)}`);
}

function mapColumns<Columns extends Record<string, Column>, Value>(
  columns: Columns,
  valueOf: (name: string, column: Column) => Value,
): { [Name in keyof Columns]: Value } {
  const entries = Object.entries(columns).map(([name, column]) => [name, valueOf(name, column)]);
  return Object.fromEntries(entries);
}
