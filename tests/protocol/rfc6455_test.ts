import assert from "node:assert/strict";
import fc from "fast-check";
import {
  CloseCode,
  closePayload,
  encodeWebSocketFrame,
  MessageParser,
  Opcode,
  WireError,
} from "../../lib/protocol/rfc6455.ts";
import { concatBytes } from "../../lib/protocol/frame.ts";

function collect(parser: MessageParser, chunks: Uint8Array[]): string[] {
  const seen: string[] = [];
  let pieces: Uint8Array[] = [];
  for (const chunk of chunks) {
    parser.push(chunk, {
      onText: (text) => seen.push(`text ${text}`),
      onBinary: (piece) => pieces.push(piece),
      onBinaryEnd: () => {
        seen.push(`binary ${concatBytes(pieces).join()}`);
        pieces = [];
      },
      onPing: (bytes) => seen.push(`ping ${bytes.join()}`),
      onClose: (code, reason) => seen.push(`close ${code} ${reason}`),
    });
  }
  return seen;
}

function cut(bytes: Uint8Array, step: number): Uint8Array[] {
  const chunks = [];
  for (let at = 0; at < bytes.length; at += step) chunks.push(bytes.slice(at, at + step));
  return chunks;
}

const serverParser = (messageBytesMax = 1 << 20) =>
  new MessageParser({ expectMasked: true, messageBytesMax });

Deno.test("messages of any size come out whole wherever the stream is cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 70_000 }), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 9000 }),
      fc.boolean(),
      (sizes, step, masked) => {
        const payloads = sizes.map((size, index) => new Uint8Array(size).fill(index + 1));
        const stream = concatBytes(
          payloads.map((payload) => encodeWebSocketFrame(Opcode.binary, payload, masked)),
        );
        const parser = new MessageParser({ expectMasked: masked, messageBytesMax: 1 << 20 });
        assert.deepEqual(
          collect(parser, cut(stream, step)),
          payloads.map((payload) => `binary ${payload.join()}`),
        );
      },
    ),
    { numRuns: 30 },
  );
});

Deno.test("a frame with a real mask key is unmasked", () => {
  // The example of RFC 6455, section 5.7: "Hello", masked.
  const hello = Uint8Array.of(0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58);
  assert.deepEqual(collect(serverParser(), cut(hello, 1)), ["text Hello"]);
});

Deno.test("a fragmented message is put together around a ping in between", () => {
  const unmasked = new MessageParser({ expectMasked: false, messageBytesMax: 1000 });
  const stream = Uint8Array.of(0x01, 3, 72, 101, 108, 0x89, 1, 7, 0x80, 2, 108, 111);
  assert.deepEqual(collect(unmasked, [stream]), ["ping 7", "text Hello"]);
});

Deno.test("a close frame tells its code and reason, cut to 120 bytes between characters", () => {
  const frame = encodeWebSocketFrame(Opcode.close, closePayload(1008, "é".repeat(100)), true);
  const [close] = collect(serverParser(), [frame]);
  assert.equal(close, `close 1008 ${"é".repeat(60)}`);
});

Deno.test("violations of the protocol are refused with the right close code", () => {
  const refuses = (bytes: number[], code: number, max = 1000) =>
    assert.throws(
      () => collect(serverParser(max), [Uint8Array.from(bytes)]),
      (error: WireError) => error.closeCode === code,
    );
  refuses([0x82, 0x01, 0], CloseCode.protocolError); // not masked
  refuses([0xc2, 0x80, 0, 0, 0, 0], CloseCode.protocolError); // reserved bit
  refuses([0x83, 0x80, 0, 0, 0, 0], CloseCode.protocolError); // unknown opcode
  refuses([0x80, 0x80, 0, 0, 0, 0], CloseCode.protocolError); // continuation of nothing
  refuses([0x09, 0x80, 0, 0, 0, 0], CloseCode.protocolError); // fragmented ping
  refuses([0x02, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0], CloseCode.protocolError); // a message inside another
  refuses([0x81, 0x81, 0, 0, 0, 0, 0xff], CloseCode.invalidPayload); // not UTF-8
  refuses([0x82, 0xfe, 0x07, 0xd0, 0, 0, 0, 0], CloseCode.tooBig); // 2000 bytes announced
});

Deno.test("random bytes end in messages or a `WireError`, nothing else", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    try {
      collect(serverParser(), [bytes]);
    } catch (thrown) {
      assert.ok(thrown instanceof WireError);
    }
  }));
});
