/** Which headers of an HTTP request go on to the module, and as what. Pure. */

const headerPrefix = "sqwish-header-";
/** W3C Trace Context goes on under its own name, so that whoever traces needs to know nothing of Sqwish. */
const passedOn = new Set(["traceparent", "tracestate"]);

/** JSON of the headers for the module, as a request frame carries them; empty for none. Names are in lower case. */
export function moduleHeaders(headers: Iterable<[string, string]>): string {
  let forModule: Record<string, string> | null = null;
  for (const [name, value] of headers) {
    if (name.startsWith(headerPrefix)) (forModule ??= {})[name.slice(headerPrefix.length)] = value;
    else if (passedOn.has(name)) (forModule ??= {})[name] = value;
  }
  return forModule === null ? "" : JSON.stringify(forModule);
}
