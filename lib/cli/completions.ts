/**
 * Shell completion scripts, written from the commander tree itself, so that they can't fall behind it. Pure.
 * Each script holds the whole tree as data and looks the typed words up in it.
 */
import type { Command } from "./arguments.ts";

export type Shell = "bash" | "zsh" | "fish";
export const shells: readonly Shell[] = ["bash", "zsh", "fish"];

interface Word {
  text: string;
  description: string;
}

/** What may follow a command: "" for the program itself, "rollout undo" for a command of a command. */
interface Node {
  path: string;
  words: Word[];
  options: Word[];
}

/** The script for `eval` or a completion folder. */
export function completionScript(program: Command, shell: Shell): string {
  const nodes = collect(program, "");
  const name = program.name();
  if (shell === "bash") return bashScript(name, nodes);
  return shell === "zsh" ? zshScript(name, nodes) : fishScript(name, nodes);
}

function collect(command: Command, path: string): Node[] {
  const children = command.commands.map((child) => ({
    text: child.name(),
    description: child.description(),
  }));
  // Of the arguments only those with fixed choices are known here; names of things live in the cluster.
  const choices = command.registeredArguments.flatMap((argument) =>
    (argument.argChoices ?? []).map((text) => ({ text, description: argument.description }))
  );
  const options = command.options.filter((option) => !option.hidden)
    .map((option) => ({ text: option.long ?? option.short ?? "", description: option.description }));
  options.push({ text: "--help", description: "print this help" });
  const node = { path, words: [...children, ...choices], options };
  const below = command.commands.flatMap((child) =>
    collect(child, path === "" ? child.name() : `${path} ${child.name()}`)
  );
  return [node, ...below];
}

function bashScript(name: string, nodes: Node[]): string {
  const cases = nodes.map(({ path, words, options }) =>
    `    "${path}") words="${texts(words)}"; options="${texts(options)}" ;;`
  );
  return `# bash completion for ${name}: eval "$(${name} completions bash)"
_${name}_complete() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path="" words="" options="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case " ${paths(nodes)} " in *" \${path:+$path/}$word "*) path="\${path:+$path/}$word" ;; esac
  done
  case "\${path//\\// }" in
${cases.join("\n")}
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  fi
}
complete -o default -F _${name}_complete ${name}
`;
}

function zshScript(name: string, nodes: Node[]): string {
  const described = (words: Word[]) =>
    words.map(({ text, description }) => quoted(`${text.replaceAll(":", "\\:")}:${description}`)).join(" ");
  const cases = nodes.map(({ path, words, options }) =>
    `    ${quoted(path)}) words_here=(${described(words)}); options_here=(${described(options)}) ;;`
  );
  return `#compdef ${name}
# zsh completion for ${name}: eval "$(${name} completions zsh)"
_${name}() {
  local here="" word
  local -a known words_here options_here
  known=(${nodes.map(({ path }) => quoted(path)).join(" ")})
  for word in "\${(@)words[2,CURRENT-1]}"; do
    (( \${known[(Ie)\${here:+$here }$word]} )) && here="\${here:+$here }$word"
  done
  case "$here" in
${cases.join("\n")}
  esac
  if [[ $PREFIX == -* ]]; then
    _describe option options_here
  elif (( \${#words_here} )); then
    _describe command words_here
  else
    _files
  fi
}
compdef _${name} ${name}
`;
}

function fishScript(name: string, nodes: Node[]): string {
  const lines = nodes.flatMap(({ path, words, options }) => {
    const below = nodes.filter((node) =>
      node.path.startsWith(path === "" ? "" : `${path} `) && node.path !== path
    )
      .map((node) => node.path.slice(path === "" ? 0 : path.length + 1).split(" ")[0]);
    const here = path === ""
      ? ""
      : path.split(" ").map((word) => `__fish_seen_subcommand_from ${word}`).join("; and ");
    const notBelow = below.length === 0
      ? ""
      : `not __fish_seen_subcommand_from ${[...new Set(below)].join(" ")}`;
    const condition = [here, notBelow].filter(Boolean).join("; and ") || "true";
    const head = `complete -c ${name} -n ${quoted(condition)}`;
    return [
      ...words.map(({ text, description }) => `${head} -a ${quoted(text)} -d ${quoted(description)}`),
      ...options.map(({ text, description }) =>
        `${head} ${text.startsWith("--") ? "-l" : "-s"} ${text.replace(/^-+/, "")} -d ${quoted(description)}`
      ),
    ];
  });
  return `# fish completion for ${name}: ${name} completions fish | source\n${lines.join("\n")}\n`;
}

function texts(words: Word[]): string {
  return words.map(({ text }) => text).join(" ");
}

/** Commands of commands are written with a slash, so that each path is one word. */
function paths(nodes: Node[]): string {
  return nodes.map(({ path }) => path.replaceAll(" ", "/")).filter((path) => path !== "").join(" ");
}

/** In single quotes for bash, zsh and fish alike. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'"'"'`)}'`;
}
