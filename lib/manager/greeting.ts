/** What the manager says once, when it has made a cluster: how to sign in, and the commands that come next. */

export interface Greeting {
  address: string;
  password: string;
  fingerprint: string;
  agentToken: string;
  clientToken: string;
  /** The options that named the data folder: other commands need the same. */
  dataOptions: { data?: string; config?: string };
}

export function greetingText(greeting: Greeting): string {
  const { address, password, fingerprint, agentToken, clientToken } = greeting;
  const data = dataArguments(greeting.dataOptions);
  return `
  Your cluster is up.

  Dashboard    https://${address}
  Sign in as   admin
  Password     ${password}
  Fingerprint  ${fingerprint}

  On every machine that shall work, copy the agent there and run:

    ./agent --join ${agentToken}

  Where you deploy and invoke from:

    ./client login --join ${clientToken}

  This is shown once. More tokens: ./manager token agent${data}, ./manager token client --role operator${data}
  New password: ./manager user passwd admin${data}

`;
}

function dataArguments({ data, config }: Greeting["dataOptions"]): string {
  if (data !== undefined) return ` --data ${inShell(data)}`;
  return config === undefined ? "" : ` --config ${inShell(config)}`;
}

/** As POSIX shells read it back, in single quotes where it needs any. */
function inShell(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
