/**
 * Every change of the database's format, oldest first; the format's number is the count of those applied
 * (`PRAGMA user_version`). Append-only: a released migration is never edited.
 */
import { initial } from "./0001_initial.ts";
import { rollouts } from "./0002_rollouts.ts";
import { moduleLogs } from "./0003_module_logs.ts";
import { sampleBlocks } from "./0004_sample_blocks.ts";
import { rolloutHistory } from "./0005_rollout_history.ts";
import { judgedRollouts } from "./0006_judged_rollouts.ts";
import { replicaCounts } from "./0007_replica_counts.ts";
import { agentAccounts } from "./0008_agent_accounts.ts";

export const migrations: readonly string[] = [
  initial,
  rollouts,
  moduleLogs,
  sampleBlocks,
  rolloutHistory,
  judgedRollouts,
  replicaCounts,
  agentAccounts,
];
