/**
 * A text as long as three novels that everybody may use: the open-source licences, one chapter each, out of the npm
 * package `spdx-license-list` (CC0).
 */

interface Licence {
  name: string;
  osiApproved: boolean;
  licenseText: string;
}

/** The whole book, each chapter under a line "# Title". About 1.8 MB. */
export async function readBook(): Promise<{ text: string; chapters: number }> {
  const { default: licences } = await import("spdx-license-list/full.js") as {
    default: Record<string, Licence>;
  };
  const approved = Object.values(licences).filter((licence) => licence.osiApproved);
  const parts = approved.map(({ name, licenseText }) => {
    // A licence's own "#" at a line's start would open another chapter.
    const body = licenseText.replaceAll(/^#+ */gm, "");
    return `# ${name.trim()}\n\n${body.trim()}\n\n`;
  });
  return { text: parts.join(""), chapters: parts.length };
}
