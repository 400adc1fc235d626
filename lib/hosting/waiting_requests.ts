/** The requests of a replica that no runner has taken yet: first come, first served, bounded in number and bytes. */
import { limits } from "../limits.ts";
import type { HostedRequest } from "./hosted_request.ts";

export class WaitingRequests {
  #requests: HostedRequest[] = [];
  #bytes = 0;

  get count(): number {
    return this.#requests.length;
  }

  /** False when it would be more than an agent keeps; a single one always may. */
  mayTake(request: HostedRequest): boolean {
    if (this.#requests.length === 0) return true;
    return this.#requests.length < limits.requestsPerConnectionMax &&
      this.#bytes + request.frameBytes <= limits.waitingBytesMax;
  }

  add(request: HostedRequest): void {
    this.#requests.push(request);
    this.#bytes += request.frameBytes;
  }

  /** For those that had been sent to a runner: they were first before. */
  addFirst(requests: readonly HostedRequest[]): void {
    this.#requests.unshift(...requests);
    for (const request of requests) this.#bytes += request.frameBytes;
  }

  /** False when it is not here. */
  remove(request: HostedRequest): boolean {
    const at = this.#requests.indexOf(request);
    if (at < 0) return false;
    this.#requests.splice(at, 1);
    this.#bytes -= request.frameBytes;
    return true;
  }

  /** Hands out requests in order until `send` takes no more. */
  drainTo(send: (request: HostedRequest) => boolean): void {
    let sent = 0;
    while (sent < this.#requests.length && send(this.#requests[sent])) {
      this.#bytes -= this.#requests[sent++].frameBytes;
    }
    if (sent > 0) this.#requests.splice(0, sent);
  }

  /** Takes out those whose deadline has passed. */
  takeLate(nowMs: number): HostedRequest[] {
    const late = this.#requests.filter((request) => request.deadlineMs <= nowMs);
    for (const request of late) this.remove(request);
    return late;
  }

  takeAll(): HostedRequest[] {
    this.#bytes = 0;
    return this.#requests.splice(0);
  }
}
