/**
 * Ends the connections of clients that vanished without a word, as a laptop that sleeps does: they would stay for
 * ever, and count towards the most there may be. On the way: join → client session → here. One look now and then at
 * the bytes that each channel counts anyway, so a frame costs nothing, and a large upload is no silence.
 */
import type { Clock } from "../clock.ts";
import { limits } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Channel } from "../protocol/channel.ts";

interface Heard {
  receivedBytes: number;
  bufferedBytes: number;
  /** In a row, since something came. */
  silentLooks: number;
}

/** Looks are counted, not time: of a manager that was itself asleep or stalled there is only one. */
const silentLooksMax = Math.ceil(limits.clientSilentMsMax / limits.clientPingMs);

export class SilenceWatch {
  readonly #log: Log;
  readonly #heard = new Map<Channel, Heard>();
  readonly #stop: () => void;

  constructor(clock: Clock, log: Log) {
    this.#log = log;
    this.#stop = clock.every(limits.clientPingMs, () => this.#look());
  }

  add(channel: Channel): void {
    // Its first look finds that something has come, and counts from there.
    this.#heard.set(channel, { receivedBytes: -1, bufferedBytes: -1, silentLooks: 0 });
  }

  remove(channel: Channel): void {
    this.#heard.delete(channel);
  }

  /** Looks no more; connections are the listener's to end. */
  close(): void {
    this.#stop();
    this.#heard.clear();
  }

  #look(): void {
    for (const [channel, heard] of this.#heard) {
      // Who is not read from, because much waits for it, can't be heard, but is seen to take some of it.
      const isTaking = channel.readingPaused && channel.bufferedBytes !== heard.bufferedBytes;
      const isHeard = isTaking || channel.receivedBytes !== heard.receivedBytes;
      heard.receivedBytes = channel.receivedBytes;
      heard.bufferedBytes = channel.bufferedBytes;
      if (isHeard) {
        heard.silentLooks = 0;
      } else if (++heard.silentLooks >= silentLooksMax) {
        const silentMs = heard.silentLooks * limits.clientPingMs;
        this.#log.info("a silent client is given up", { address: channel.remoteAddress, silentMs });
        this.#heard.delete(channel);
        channel.abandon(`the client has been silent for ${silentMs} ms`);
      }
    }
  }
}
