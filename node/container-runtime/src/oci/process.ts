import type { ContainerConfig } from "@coracle/api/cri";
import { CriError } from "../cri-error.ts";
import type { ImageConfig } from "../image/manifest.ts";

type RunConfig = NonNullable<ImageConfig["config"]>;

/** The program to run: the container's command replaces the image's entrypoint and, with it, the image's arguments. */
export function planArguments(config: ContainerConfig, image: RunConfig): string[] {
  const command = config.command ?? [];
  const args = config.args ?? [];
  const entrypoint = command.length > 0 ? command : (image.Entrypoint ?? []);
  const rest = args.length > 0 ? args : command.length > 0 ? [] : (image.Cmd ?? []);
  const all = [...entrypoint, ...rest];
  if (all.length === 0) throw new CriError("UNKNOWN", "failed to generate container spec: no command specified");
  return all;
}

export const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The image's environment under the container's; `PATH`, `HOSTNAME`, `HOME` and, on a terminal, `TERM` are always there. */
export function planEnvironment(
  config: ContainerConfig,
  image: RunConfig,
  context: { readonly hostname: string; readonly home: string },
): string[] {
  const variables = new Map<string, string>();
  const put = (entry: string): void => {
    const equals = entry.indexOf("=");
    if (equals > 0) variables.set(entry.slice(0, equals), entry.slice(equals + 1));
  };
  put(DEFAULT_PATH);
  if (context.hostname !== "") put(`HOSTNAME=${context.hostname}`);
  if (config.tty === true) put("TERM=xterm");
  for (const entry of image.Env ?? []) put(entry);
  for (const { key = "", value } of config.envs ?? []) put(`${key}=${value?.toString("utf8") ?? ""}`);
  if (!variables.has("HOME")) put(`HOME=${context.home}`);
  return [...variables].map(([name, value]) => `${name}=${value}`);
}

/** Numbers of the signals that CRI and images name. */
export const SIGNALS: Readonly<Record<string, NodeJS.Signals>> = Object.fromEntries(
  (
    "SIGABRT SIGALRM SIGBUS SIGCHLD SIGCONT SIGFPE SIGHUP SIGILL SIGINT SIGIO SIGIOT SIGKILL SIGPIPE SIGPOLL SIGPROF " +
    "SIGPWR SIGQUIT SIGSEGV SIGSTKFLT SIGSTOP SIGSYS SIGTERM SIGTRAP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 " +
    "SIGVTALRM SIGWINCH SIGXCPU SIGXFSZ"
  )
    .split(" ")
    .map((name) => [name, name as NodeJS.Signals]),
);

/** What stops a container: its own signal, the image's, or SIGTERM. Real-time signals go by number. */
export function planStopSignal(config: ContainerConfig, image: RunConfig): NodeJS.Signals | number {
  const own = config.stopSignal;
  const wanted = own === undefined || own === "RUNTIME_DEFAULT" ? (image.StopSignal ?? "") : String(own);
  if (wanted === "") return "SIGTERM";
  if (/^\d+$/.test(wanted)) return Number(wanted);
  const name = wanted.toUpperCase().startsWith("SIG") ? wanted.toUpperCase() : `SIG${wanted.toUpperCase()}`;
  const realTime = /^SIGRT(MIN|MAX)(?:(?:\+|PLUS|-|MINUS)(\d+))?$/.exec(name);
  if (realTime !== null) return realTime[1] === "MIN" ? 34 + Number(realTime[2] ?? 0) : 64 - Number(realTime[2] ?? 0);
  return SIGNALS[name] ?? "SIGTERM";
}
