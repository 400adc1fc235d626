/** What fixed limits do with the same load: what an adaptive one is measured against. */
import { ClusterModel, type ClusterOptions } from "./cluster_model.ts";

/** A limit counts as the best when it gives this much of the most that any gives, and no lower one does. */
const kneeShare = 0.95;

export interface StaticLimit {
  slots: number;
  perSecond: number;
  medianMs: number;
}

/** The lowest limit with nearly all of the throughput; each is tried up to `untilMs`, the first half being warm-up. */
export function bestStatic(options: ClusterOptions, untilMs: number): StaticLimit & { most: number } {
  const tried: StaticLimit[] = [];
  for (let slots = 1; slots <= 1024; slots *= 2) {
    const model = new ClusterModel({ ...options, slots }).run(untilMs);
    const perSecond = model.perSecond(untilMs / 2, untilMs);
    tried.push({ slots, perSecond, medianMs: model.quantileMs(0.5, untilMs / 2, untilMs) });
  }
  const most = Math.max(...tried.map(({ perSecond }) => perSecond));
  return { ...tried.find(({ perSecond }) => perSecond >= kneeShare * most)!, most };
}
