/** What every scenario is: a run that yields plain data, and the section of the page that is made of that data alone. */
import type { Peer } from "../peers/peer.ts";
import type { Session } from "../session.ts";

export interface Scenario<Result> {
  readonly name: string;
  /** Heading of its section. */
  readonly title: string;
  /** Run only when it is named: it takes hours. */
  readonly onlyByName?: boolean;
  /** `peers` are those to compare with that are installed. The result must survive JSON. */
  run(session: Session, peers: readonly Peer[]): Promise<Result>;
  section(result: Result): Section;
}

export interface Section {
  /** Markdown, without the heading. */
  text: string;
  plots: Plot[];
  goals: Goal[];
}

export interface Plot {
  /** File name without ending, and what a screen reader says. */
  name: string;
  title: string;
  svg: string;
}

export interface Goal {
  work: string;
  goal: string;
  measured: string;
  reached: boolean;
}
