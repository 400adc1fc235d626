/**
 * The C library (glibc), for what the runtime has no function for. Everything that uses it must do without: on other
 * systems, with musl, and when the program was started without the permission to call libraries.
 */

/** Null where there is no such library with these functions, or no permission to call it. */
export function openCLibrary<const Calls extends Deno.ForeignLibraryInterface>(
  calls: Calls,
): Deno.DynamicLibrary<Calls> | null {
  if (Deno.build.os !== "linux" || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") {
    return null;
  }
  try {
    return Deno.dlopen("libc.so.6", calls);
  } catch {
    return null;
  }
}
