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
  /** A larger frame goes out in chunks of this size, header included, between the small ones. */
  chunkBytesMax: 64 * KiB,
  /** Large frames of one connection that are under way at once; the receiver keeps a buffer for each. */
  transfersAtOnce: 4,
  /** Bytes of chunks on their way on a connection, as the line has room; more go out as the receiver has taken some. */
  chunkWindowBytesMin: 128 * KiB,
  chunkWindowBytesMax: 4 * MiB,
  /** Bytes waiting for a slow reader before it is read from no more, and before it gets no more requests. */
  sendBufferBytesHigh: 4 * MiB,
  /** Below this it is as before. */
  sendBufferBytesLow: 1 * MiB,
  /** Bytes waiting for a reader that has taken nothing for `sendStallMsMax` before it is dropped. */
  sendBufferBytesMax: 64 * MiB,
  sendStallMsMax: 5000,
  /** And for one that is only slow. */
  sendBufferBytesSlowMax: 256 * MiB,
  /** How long what waits may take to leave when a connection is closed, as long as some of it does. */
  closeTransferMsMax: 30_000,
  /** The head of an HTTP request, and of the answer to a join. */
  httpHeadBytesMax: 16 * KiB,
  /** How long the body of an HTTP request may take to come, and one write of an answer to be taken. */
  httpTransferMsMax: 120_000,
  /** How long a connection may stay open between two HTTP requests. */
  httpIdleMsMax: 60_000,
  /** Bodies of HTTP requests in memory at once, all together. */
  httpBodiesBytesMax: 256 * MiB,

  // Connections
  connectionsMax: 10_000,
  connectionsPerAddressMax: 6_000,
  handshakeMsMax: 10_000,
  /** Requests one connection may have in flight. */
  requestsPerConnectionMax: 20_000,
  /** Parts of a stream that its requester has not taken yet; a large one counts once for each `streamPartBytes` begun. */
  streamWindowParts: 64,
  streamPartBytes: 64 * KiB,

  // Requests
  timeoutMsDefault: 30_000,
  timeoutMsMax: 24 * 3600_000,
  queueMaxDefault: 1000,
  queueMaxMax: 1_000_000,
  /** What the waiting inputs of one replicaSet may take, however few they are. */
  queueBytesMax: 256 * MiB,
  /** Runs of one request, the first included, when agents are lost under it. */
  attemptsMax: 3,
  /** How many requests may be nested in each other, the first included. */
  callDepthMax: 32,
  /** How long a cancelled request may keep its slot before the agent confirms. */
  cancelGraceMs: 3000,
  /** A replica that gave a request back unrun gets none for this long, or until it reports. */
  refusalHoldMs: 100,
  retryAfterMsMin: 100,
  retryAfterMsMax: 10_000,

  // Liveness
  telemetryMs: 1000,
  suspectAfterMs: 2000,
  lostAfterMs: 3000,
  /** A lost agent's replicas are placed elsewhere after this long. */
  lostGraceMs: 10_000,
  /** A replica moves to a better place at most this often, and only to an agent that has been well for as long. */
  rebalanceEveryMs: 30_000,
  /** Load is averaged over this before more replicas are wanted; fewer only when this long no more were needed. */
  scaleUpWindowMs: 3000,
  scaleDownWindowMs: 60_000,
  /** Without a request for this long, a set that may sleep does. */
  scaleIdleMs: 300_000,
  /** How often new revisions are judged by their answers, and for how long after their rollout is done. */
  judgeEveryMs: 250,
  judgedAfterMs: 600_000,
  /** A new revision's first replicas replace no others before this many times `minRequests` are answered, or this time is over. */
  judgedRequestsFactor: 5,
  judgeWaitMs: 10_000,
  /** A p95 that grew by less is no reason to undo anything. */
  rollbackLatencyMsMin: 10,
  /** What an older revision did is remembered for this long, and for up to twice as long. */
  trafficWindowMs: 300_000,
  /** Endpoints, by revision, whose requests are remembered for comparison. */
  trafficEndpointsMax: 2000,
  /** An endpoint that was called within this time may not be dropped without a word. */
  calledLatelyMs: 3600_000,
  /** How often the manager judges its agents. */
  livenessTickMs: 250,
  /** A tick later than this means that the manager itself was stalled. */
  ownPauseMsMax: 500,
  /** Agents remembered, connected or not. */
  agentsMax: 10_000,
  clientPingMs: 5000,
  clientLostAfterMs: 15_000,
  /** A client that has sent nothing at all for this long is gone; far longer than one that computes is silent. */
  clientSilentMsMax: 30_000,
  managerLostAfterMs: 3000,
  reconnectMsMin: 200,
  reconnectMsMax: 10_000,

  // Damping (docs/decisions/0014)
  /** A loss of an agent weighs half as much after this long. */
  dampingHalfLifeMs: 120_000,
  /** Who has lost more than this, by weight, is damped: others are asked first. */
  dampingPenalty: 3,
  /** Until no more than this is left. */
  dampingReuse: 2.5,
  /** And no longer than this after the last loss. */
  dampedMsMax: 60_000,

  // Runners
  /** Requests that wait in an agent for a runner of their replica. */
  waitingBytesMax: 64 * MiB,

  // Modules
  moduleBytesMax: 8 * MiB,
  modulesPerSetMax: 500,
  setBytesMax: 64 * MiB,
  /** How long the modules of one deployment may take to be read, stripped and checked. */
  buildMsMax: 120_000,
  /** The certificates of a start or a renewal, on a small machine that has just been switched on. */
  certifyMsMax: 60_000,
  /** Changed files are looked at once nothing has changed for this long. */
  watchQuietMs: 200,
  replicaSetsMax: 1000,
  endpointsPerSetMax: 1000,
  endpointNameCharactersMax: 128,
  /** Descriptions and input schemas of one set's functions, as JSON: an agent tells those of all its sets in one message. */
  endpointsBytesMax: 1 * MiB,
  memoryMbDefault: 256,
  readyMsMax: 60_000,
  drainMsMax: 30_000,
  runnersPerReplicaMax: 64,
  logLineBytesMax: 8 * KiB,
  /** What one agent passes on of its modules' output. */
  logLinesPerSecondMax: 1000,
  logBytesPerSecondMax: 1 * MiB,
  /** What the manager keeps per replicaSet, and how often the newest of it goes to the disk. */
  logLinesKept: 1000,
  logFlushMs: 60_000,
  /** What of all sets' lines goes to the disk: on average, and after a while with little. */
  logStoredBytesPerMinute: 64 * KiB,
  logStoredBytesAtOnce: 1 * MiB,

  // Store
  /** What a full disk did not take of rollouts is tried again: nothing else may happen for hours after it has room. */
  unsavedRetryMs: 5000,
  revisionsKept: 10,
  /** Of each set, rollouts under way and over. */
  rolloutsKept: 100,
  /** Of each rollout, endpoints with what it was judged by. */
  comparisonsKept: 20,
  /** Events are kept this long, but no more than so many. */
  eventsKeptMs: 30 * 24 * 3600_000,
  eventsKept: 50_000,
  /** The log of the store is brought into the database when it is larger. */
  storeLogBytesMax: 4 * MiB,
  sampleFlushMs: 60_000,
  /** Resolution of the samples of the last day, and of those rolled up from them. */
  sampleMs: 10_000,
  sampleKeptMs: 24 * 3600_000,
  rolledUpMs: 300_000,
  rolledUpKeptMs: 30 * 24 * 3600_000,
  /** Changes of how many replicas sets had; for as long as samples by 5 min, but no more than so many. */
  replicaCountsKept: 100_000,
  /** Questions for a time in the past that wait for their turn. */
  pastQuestionsMax: 20,
  /** Endpoints with metrics of their own; those beyond are counted together. */
  metricEndpointsMax: 1000,

  /** Addresses that are told of events. */
  webhooksMax: 20,

  // Security
  passwordBytesMin: 8,
  passwordBytesMax: 256,
  sessionMs: 7 * 24 * 3600_000,
  loginFailuresMax: 5,
  loginWindowMs: 60_000,
  loginLockMs: 60_000,
  loginLockMsMax: 3600_000,
} as const;
