import {
  createLogger,
  HelpError,
  systemClock,
  systemRandom,
  type Clock,
  type Logger,
  type Random,
} from "@coracle/base";
import {
  createApiClient,
  createHttpTransport,
  limitTransport,
  loadKubeconfig,
  type ClientMetrics,
  type HttpTransportOptions,
  type OwnedApiClient,
  type RequestLimit,
  type Transport,
} from "@coracle/client";

/** What a component that runs alone is given. */
export interface AloneContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
}

/** Runs one component in the foreground, as upstream's program of that name runs. Answers the exit code. */
export async function runAloneComponent(
  component: string,
  verbosity: number,
  main: (context: AloneContext) => Promise<void>,
): Promise<number> {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => controller.abort(new DOMException(name, "AbortError")));
  }
  const logger = createLogger({
    write: (line) => void process.stderr.write(line),
    level: verbosity >= 4 ? "debug" : "info",
    fields: { component },
  });
  try {
    await main({ clock: systemClock, random: systemRandom, logger, signal: controller.signal });
    return 0;
  } catch (error) {
    if (controller.signal.aborted) return 0;
    process.stderr.write(`${component}: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

/** Reads flags; wrong ones are told in one line, and the exit code is 2. With `--help` all are named. */
export function withFlags<F>(component: string, parse: () => F): F {
  try {
    return parse();
  } catch (error) {
    return endForFlags(component, error);
  }
}

/** As `withFlags`, for flags that may come from a file. */
export async function withFlagsRead<F>(component: string, read: () => Promise<F>): Promise<F> {
  try {
    return await read();
  } catch (error) {
    return endForFlags(component, error);
  }
}

function endForFlags(component: string, error: unknown): never {
  if (error instanceof HelpError) {
    process.stdout.write(error.message);
    process.exit(0);
  }
  if (!(error instanceof Error)) throw error;
  process.stderr.write(`${component}: ${error.message}\n`);
  process.exit(2);
}

/** Who counts the requests of a client, and how many there may be; absent: nobody, any number. */
interface ClientOptions {
  readonly metrics?: ClientMetrics | undefined;
  readonly limit?: RequestLimit | undefined;
}

/** A client with the identity of a kubeconfig. */
export async function clientOf(
  kubeconfig: string | undefined,
  userAgent: string,
  { metrics, limit }: ClientOptions = {},
): Promise<OwnedApiClient> {
  if (kubeconfig === undefined || kubeconfig === "") throw new Error("--kubeconfig is required");
  const opened = openTransport(await loadKubeconfig(kubeconfig), metrics);
  const transport = limit === undefined ? opened : limitTransport(opened, limit, systemClock);
  return createApiClient({ transport, userAgent, withoutManagedFields: true });
}

/** A way to a kubeconfig's server without its identity, for those who bring tokens. */
export async function anonymousTransport(kubeconfig: string, metrics?: ClientMetrics): Promise<Transport> {
  const { cert: _cert, key: _key, token: _token, tokenFile: _file, ...anonymous } = await loadKubeconfig(kubeconfig);
  return openTransport(anonymous, metrics);
}

function openTransport(config: HttpTransportOptions, metrics: ClientMetrics | undefined): Transport {
  const transport = createHttpTransport(config);
  return metrics === undefined ? transport : metrics.watch(transport, config.server);
}
