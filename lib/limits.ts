/**
 * Every bound of the system, in one place. Names end with their unit, then `Max` or `Min`.
 * Changing a wire bound needs a decision page.
 */

const KiB = 1024;
const MiB = 1024 * KiB;

export const limits = {
  // Wire
  /** One input or reply body. */
  bodyBytesMax: 8 * MiB,
  /** One frame: a body, its name and its metadata. */
  frameBytesMax: 8 * MiB + 64 * KiB,
  /** One WebSocket message: a batch of frames. */
  messageBytesMax: 16 * MiB,
  /** One JSON control message. */
  controlBytesMax: 4 * MiB,
  frameNameBytesMax: 255,
  frameMetaBytesMax: 32 * KiB,
  /** Frames gather up to this size before the next goes into another message. */
  batchBytesMax: 256 * KiB,
  /** Bytes waiting for a slow reader before its peer stops being read from. */
  sendBufferBytesHigh: 16 * MiB,
  /** Bytes waiting for a reader that never catches up before it is dropped. */
  sendBufferBytesMax: 64 * MiB,
  upgradeHeaderBytesMax: 16 * KiB,

  // Connections
  connectionsMax: 10_000,
  connectionsPerAddressMax: 6_000,
  handshakeMsMax: 10_000,
  /** Requests one connection may have in flight. */
  requestsPerConnectionMax: 20_000,
  streamWindowParts: 64,

  // Requests
  timeoutMsDefault: 30_000,
  timeoutMsMax: 24 * 3600_000,
  queueMaxDefault: 1000,
  queueMaxMax: 1_000_000,

  // Liveness
  telemetryMs: 1000,
  suspectAfterMs: 2000,
  lostAfterMs: 3000,
  clientPingMs: 5000,
  clientLostAfterMs: 15_000,
  managerLostAfterMs: 3000,
  reconnectMsMin: 200,
  reconnectMsMax: 10_000,

  // Modules
  moduleBytesMax: 8 * MiB,
  modulesPerSetMax: 500,
  setBytesMax: 64 * MiB,
  replicaSetsMax: 1000,
  endpointsPerSetMax: 1000,
  memoryMbDefault: 256,
  readyMsMax: 60_000,
  drainMsMax: 30_000,
  runnersPerReplicaMax: 64,
  logLineBytesMax: 8 * KiB,

  // Store
  revisionsKept: 10,
  eventsKept: 20_000,
  sampleFlushMs: 60_000,

  // Security
  passwordBytesMin: 8,
  passwordBytesMax: 256,
  sessionMs: 7 * 24 * 3600_000,
  loginFailuresMax: 5,
  loginWindowMs: 60_000,
  loginLockMs: 60_000,
  loginLockMsMax: 3600_000,
} as const;
