import type { NamedCertificate, TlsVersion } from "./listener.ts";

/** How requests are taken, and how the server ends. What is absent is as upstream has it. */
export interface ServingSettings {
  /** False: only the two limits of requests in flight, each for itself. */
  readonly priorityAndFairness?: boolean | undefined;
  readonly requestTimeoutMs?: number | undefined;
  /** How long a server that is told to stop goes on, unready, so that nobody finds it any more. */
  readonly shutdownDelayMs?: number | undefined;
  /** New requests of a server that stops are told to come again, until those under way are done. */
  readonly shutdownSendsRetryAfter?: boolean | undefined;
  readonly goawayChance?: number | undefined;
  readonly maxStreamsPerConnection?: number | undefined;
  readonly minTlsVersion?: TlsVersion | undefined;
  readonly ciphers?: readonly string[] | undefined;
  readonly namedCertificates?: readonly NamedCertificate[] | undefined;
  /** Patterns of origins whose pages may ask. */
  readonly corsAllowedOrigins?: readonly string[] | undefined;
  readonly transportSecurity?: readonly string[] | undefined;
  /** False: no container may be privileged. */
  readonly allowsPrivileged?: boolean | undefined;
  readonly eventTtlSeconds?: number | undefined;
  /** How clients are told to reach the server; absent: its advertised address. */
  readonly externalHostname?: string | undefined;
  /** False: where the `kubernetes` service leads is somebody else's business. */
  readonly publishesEndpoints?: boolean | undefined;
  /** The port of every node that leads to the `kubernetes` service; absent: none. */
  readonly serviceNodePort?: number | undefined;
  /** No HTTP/2. */
  readonly http1Only?: boolean | undefined;
}
