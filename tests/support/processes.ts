/** What Linux tells of a process. */

/** Of <sched.h>. */
const policies = new Map([["0", "other"], ["3", "batch"], ["5", "idle"]]);

/** In the text of a `/proc/PID/stat` (proc_pid_stat(5), field 41; the third is the first behind the name in brackets). */
export function schedulingPolicyIn(stat: string): string {
  const field = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[41 - 3];
  return policies.get(field) ?? field;
}

export function schedulingPolicyOf(pid: number): string {
  return schedulingPolicyIn(Deno.readTextFileSync(`/proc/${pid}/stat`));
}

export function childrenOf(pid: number): number[] {
  return Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean).map(Number);
}
