/** What is asked of the manager to deploy, and what it answers to that and to an undo. Plain, as `views.ts`. */
import type { ReplicaCount } from "./revision.ts";
import type { ChangeView } from "./views.ts";

/** Body of `POST /v1/replicasets`: what `client deploy` sends. The manager strips and checks the modules. */
export interface DeployRequest {
  /** The configuration of one replicaSet (docs/configuration.md) without `modules`. */
  replicaSet: Record<string, unknown> & { name: string; version: string };
  modules: {
    path: string;
    /** The name the user gave it, for messages; `path` when left out. */
    source?: string;
    entry: boolean;
    base64: string;
  }[];
  /** Endpoints that were called in the last hour may go or take less. */
  force?: boolean;
  /** What `replicaSet` does not name stays as the set's revision in force has it. */
  keepSettings?: boolean;
  /** A `scale` since ends: the specification's number counts. Without `replicas` the set keeps what it has. */
  rescale?: boolean;
  /** Nothing is done; the answer says what would be. */
  dryRun?: boolean;
}

/** Answer to a deployment. */
export interface DeployView {
  replicaSet: string;
  revision: number;
  /** False: the same as the current revision, nothing was done. */
  changed: boolean;
  /** How many the set goes on with, where the deployment itself says something else or nothing. */
  keeps?: ReplicaCount;
  /** The configuration's keys that stay as the current revision has them, where a new set has something else. */
  keptSettings?: { names: string[]; revision: number };
  /** Nothing but a `scale` ends: how many are wanted then. */
  rescaled?: ReplicaCount;
  /** Of a dry run: what would change, and why it would be refused, if it would. */
  changes?: ChangeView[];
  refusal?: string;
  /** What whoever asked for it should know. */
  warnings?: string[];
}
