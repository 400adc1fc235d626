/**
 * What an agent says of its replicas, kept to what a manager takes: hosting → here → `hello` and `state`. A message
 * that is refused costs the connection, and the next one would say the same again, for ever. A replica that can't be
 * told whole is told as failed, in words, so that the agent stays in its cluster and the manager can delete the set.
 */
import { limits } from "../limits.ts";
import {
  type AgentHello,
  encodeMessage,
  problemOfReport,
  type ReplicaReport,
  type State,
} from "../protocol/messages.ts";

/** Of a failed replica's own reason, when all of them together are too long. */
const reasonCharactersMax = 200;

const encoder = new TextEncoder();

/** The message as it is, or with fewer words in its reports: the largest lose theirs first. */
export function fitReports<Message extends AgentHello | State>(message: Message): Message {
  const replicas = message.replicas.map((report) => {
    const problem = problemOfReport(report);
    return problem === null
      ? report
      : replaced(report, `Its functions can't be told to the manager: ${problem}`);
  });
  const sizes = replicas.map((report) => bytesOf(JSON.stringify(report)) + 1);
  let bytes = bytesOf(encodeMessage({ ...message, replicas: [] })) +
    sizes.reduce((sum, size) => sum + size, 0);
  const largestFirst = [...replicas.keys()].sort((left, right) => sizes[right] - sizes[left]);
  for (const index of largestFirst) {
    if (bytes <= limits.controlBytesMax) break;
    const reason = `What this agent's replicas say of their functions takes more than the ` +
      `${limits.controlBytesMax} bytes of a control message, of this one ${sizes[index]}`;
    replicas[index] = replaced(replicas[index], reason);
    bytes += bytesOf(JSON.stringify(replicas[index])) + 1 - sizes[index];
  }
  return { ...message, replicas };
}

/** One that has failed by itself keeps the start of its reason, and one that stops goes on stopping. */
function replaced(report: ReplicaReport, reason: string): ReplicaReport {
  const { handle, replicaSet, revision, state, slots, adaptive } = report;
  const own = state === "failed" && typeof report.reason === "string" ? report.reason : undefined;
  return {
    handle,
    replicaSet,
    revision,
    state: state === "stopping" ? state : "failed",
    reason: own?.slice(0, reasonCharactersMax) ?? reason,
    slots,
    adaptive,
    endpoints: [],
  };
}

function bytesOf(text: string): number {
  return encoder.encode(text).length;
}
