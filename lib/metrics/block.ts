/**
 * One row of the history: what a subject did in a minute, by 10 s, or in an hour, by 5 minutes, as bytes. Written by
 * `history` into the store, which takes it for a blob. Pure.
 * Invariant: what is unpacked has the form and, to the digits that are kept, the values of what was packed.
 *
 *   block   = version, then for each slot that is not empty: slots since the one before, value
 *   value   = by the kind: n, e, histogram | m | gauges, and what they ended with
 */
import { ByteReader, ByteWriter } from "./bits.ts";
import type { HistogramBytes } from "./histogram.ts";
import { Histogram } from "./histogram.ts";
import {
  type AgentGauges,
  type AgentValue,
  type EndpointValue,
  type QueueValue,
  rounded,
  type SampleKind,
} from "./sample.ts";

/** Of the layout above; a program refuses blocks of one that it doesn't know. */
const version = 1;

/** A value at its place within the block, from 0. */
export interface Slot {
  slot: number;
  value: unknown;
}

/** How an agent's value begins: whether it is known, and what it ended with. */
const unknown = 1;
const endsOtherwise = 2;
const endsUnknown = 4;

/** `slots` in time, each at most once. */
export function packBlock(kind: SampleKind, slots: readonly Slot[]): Uint8Array {
  const writer = new ByteWriter();
  writer.byte(version);
  let last = -1;
  for (const { slot, value } of slots) {
    writer.number(slot - last - 1);
    last = slot;
    if (kind === "agent") writeAgent(writer, value as AgentValue);
    else if (kind === "replicaSet") writer.number(Math.round((value as QueueValue).m));
    else writeEndpoint(writer, value as EndpointValue);
  }
  return writer.take();
}

/** Throws a `RangeError` for bytes that are cut off or of a newer version. Histograms are views of `bytes`. */
export function unpackBlock(kind: SampleKind, bytes: Uint8Array): Slot[] {
  const reader = new ByteReader(bytes);
  const found = reader.byte();
  if (found !== version) throw new RangeError(`A stored block must be of version ${version}, is of ${found}`);
  const slots: Slot[] = [];
  let slot = -1;
  while (!reader.isAtEnd) {
    slot += reader.number() + 1;
    slots.push({ slot, value: readValue(kind, reader) });
  }
  return slots;
}

function readValue(kind: SampleKind, reader: ByteReader): unknown {
  if (kind === "agent") return readAgent(reader);
  if (kind === "replicaSet") return { m: reader.number() } satisfies QueueValue;
  return { n: reader.number(), e: reader.number(), l: reader.bytes() } satisfies EndpointValue;
}

function writeEndpoint(writer: ByteWriter, { n, e, l }: EndpointValue): void {
  writer.number(n);
  writer.number(e);
  writer.bytes(bytesOf(l));
}

/** Rows of an earlier format are packed when they are rolled up. */
function bytesOf(latency: EndpointValue["l"]): HistogramBytes {
  if (latency instanceof Uint8Array) return latency;
  const histogram = new Histogram();
  histogram.merge(latency);
  return histogram.encode();
}

function writeAgent(writer: ByteWriter, { v, l }: AgentValue): void {
  writer.byte(
    (v === null ? unknown : 0) + (l === undefined ? 0 : endsOtherwise) + (l === null ? endsUnknown : 0),
  );
  if (v) writeGauges(writer, v);
  if (l) writeGauges(writer, l);
}

function readAgent(reader: ByteReader): AgentValue {
  const flags = reader.byte();
  const v = (flags & unknown) === 0 ? readGauges(reader) : null;
  if ((flags & endsOtherwise) === 0) return { v };
  return { v, l: (flags & endsUnknown) === 0 ? readGauges(reader) : null };
}

/** How many there are, which of them the host tells, and those: seven digits are more than the host knows. */
function writeGauges(writer: ByteWriter, gauges: AgentGauges): void {
  writer.byte(gauges.length);
  writer.number(gauges.reduce<number>((told, value, at) => told + (value === null ? 0 : 2 ** at), 0));
  for (const value of gauges) {
    if (value !== null) writer.float(value);
  }
}

function readGauges(reader: ByteReader): AgentGauges {
  const length = reader.byte();
  const told = reader.number();
  return Array.from({ length }, (_, at) => (told & 2 ** at) === 0 ? null : rounded(reader.float()));
}
