import { NO_FEATURES, servedWith, type Features } from "../features.ts";
import type { IsServed } from "../registry/runtime-config.ts";
import { sleep, TaskScope, type Clock, type Logger, type Random } from "@coracle/base";
import type { OpenApiResource } from "@coracle/api";
import type { Transport } from "@coracle/client";
import { createAdmissionChain } from "../admission/chain.ts";
import { followCertificates, type CertificateFiles } from "../operation/followed-certificates.ts";
import { countResources, objectMetrics, processMetrics } from "../operation/process-metrics.ts";
import { openAudit } from "../audit/open-audit.ts";
import type { AuditSettings } from "../audit/settings.ts";
import { readPluginConfigurations } from "../admission/configuration/plugin-decoders.ts";
import { createAdmissionPlugins, isPluginOn, type AdmissionSettings } from "../admission/order.ts";
import { AccessMetrics } from "../authentication/access-metrics.ts";
import { openAuthentication } from "../authentication/open-authentication.ts";
import { createOpenIdRoutes } from "../authentication/openid.ts";
import { selfSubjectReview, tokenReview } from "../authentication/reviews.ts";
import type { AuthenticationSettings } from "../authentication/settings.ts";
import { tokenRequest } from "../authentication/token-request.ts";
import { NO_OPINION, type Authorizer } from "../authorization/authorizer.ts";
import { apiServerUser } from "../authentication/user.ts";
import { noteDecision, openAuthorization } from "../authorization/open-authorization.ts";
import type { RbacAuthorizer } from "../authorization/rbac.ts";
import type { AuthorizationMode, AuthorizationSettings } from "../authorization/settings.ts";
import {
  localSubjectAccessReview,
  selfSubjectAccessReview,
  selfSubjectRulesReview,
  subjectAccessReview,
} from "../authorization/reviews.ts";
import { bootstrap, writeAuthenticationConfig } from "../bootstrap/bootstrap.ts";
import { publishKubernetesService } from "../bootstrap/kubernetes-service.ts";
import { firstServiceIp } from "../bootstrap/service-range.ts";
import { loadBuiltInCatalog } from "../discovery/catalog.ts";
import { createExtensibleCatalog } from "../discovery/extensible-catalog.ts";
import { createDiscoveryRoutes } from "../discovery/routes.ts";
import { openServerExtensions } from "../extensions/server-extensions.ts";
import { AdmissionMetrics } from "../metrics/admission-metrics.ts";
import { featureMetrics } from "../metrics/feature-metrics.ts";
import { storageSizeMetrics } from "../metrics/store-metrics.ts";
import type { RegistryExtension } from "../registry/create-registry.ts";
import { family, withoutFamilies } from "../metrics/metric-text.ts";
import { WorkQueueMetrics } from "../metrics/work-queue-metrics.ts";
import { watchCacheMetrics } from "../metrics/watch-cache-metrics.ts";
import { createProfileRoutes } from "../operation/profile-routes.ts";
import { createOutboundClient } from "../outbound/outbound-client.ts";
import { resolveByClusterIp, resolveByEndpoints } from "../outbound/service-resolver.ts";
import { createRegistryReader } from "../registry/registry-reader.ts";
import type { AdmissionChain, Registry } from "../registry/registry.ts";
import { createAggregator, type Aggregator } from "../aggregation/aggregator.ts";
import { createServiceResolver } from "../aggregation/service-resolver.ts";
import { createConnectors } from "../streaming/connectors.ts";
import type { ApiRequest, IdentityHeaders } from "./api-request.ts";
import { componentStatuses } from "./component-statuses.ts";
import { createExtraHeaders } from "./cross-origin.ts";
import { createDispatch, type PathRoutes } from "./dispatch.ts";
import { createFilterChain, type FilterChainOptions } from "./filter-chain.ts";
import { HealthRoutes, standardChecks, type HealthCheck } from "./health.ts";
import { listen, type Listener } from "./listener.ts";
import { createMemoryTransport, type MemoryIdentity } from "./memory-exchange.ts";
import { RequestMetrics } from "./metrics.ts";
import { createFlowFilter } from "../flow-control/flow-filter.ts";
import { openFlowControl } from "../flow-control/open-flow-control.ts";
import { createResourceRoutes } from "./resource-routes.ts";
import { InFlightRequests } from "./in-flight-requests.ts";
import { LongBodies } from "./long-bodies.ts";
import type { ServingSettings } from "./serving-settings.ts";
import { baseHeaders, sendNotFoundPage } from "./responder.ts";
import { firstOf, rootRoutes, sendSlis, sendVersion } from "./root-routes.ts";
import { traceAdmission, traceOutbound, type Tracing } from "../tracing/tracing.ts";
import type { WireCodecs } from "./wire-codec.ts";

/** Settings of a server. Certificates and keys are PEM texts. */
export interface ApiServerConfig {
  /** One range, or two for dual stack. */
  readonly serviceClusterIpRanges: readonly string[];
  readonly serviceNodePortRange: string;
  /** Where pods and nodes reach this server. */
  readonly advertiseAddress: string;
  readonly authorizationModes: readonly AuthorizationMode[];
  readonly authorization?: AuthorizationSettings | undefined;
  readonly anonymousAuth: boolean;
  readonly authentication?: AuthenticationSettings | undefined;
  readonly clientCa?: string | undefined;
  readonly requestHeader?:
    | {
        readonly ca: string;
        readonly allowedNames: readonly string[];
        readonly usernameHeaders: readonly string[];
        readonly groupHeaders: readonly string[];
        readonly uidHeaders: readonly string[];
        readonly extraHeaderPrefixes: readonly string[];
      }
    | undefined;
  /** Lines of `--token-auth-file`. */
  readonly tokens?: string | undefined;
  readonly serviceAccounts: {
    /** The first issues; all are accepted. */
    readonly issuers: readonly string[];
    readonly signingKey: string;
    /** Keys that tokens may be signed with; absent: the signing key's public half. */
    readonly verificationKeys?: readonly string[] | undefined;
    readonly apiAudiences?: readonly string[] | undefined;
    readonly extendTokenExpiration: boolean;
    /** Where the keys are to be had, when not from this server. */
    readonly jwksUri?: string | undefined;
    /** False: tokens of secrets hold although the secret is gone. */
    readonly lookup?: boolean | undefined;
    readonly maxTokenSeconds?: number | undefined;
  };
  /** How this server proves itself to kubelets. */
  readonly kubeletClient?:
    | { readonly cert: string; readonly key: string; readonly ca?: string | undefined }
    | undefined;
  /** How requests for what other servers serve are sent on. */
  readonly aggregation?:
    | {
        /** How this server proves to them that it may speak for users; asked for each connection. */
        readonly proxyClient?: (() => { readonly cert: string; readonly key: string }) | undefined;
        /** Straight to endpoints instead of to a service's address. */
        readonly routesToEndpoints?: boolean | undefined;
        /** Absent: redirects of other servers are refused. */
        readonly forwardsRedirects?: boolean | undefined;
      }
    | undefined;
  /** Types of a node's addresses that its kubelet is asked for at, best first. */
  readonly kubeletPreferredAddressTypes?: readonly string[] | undefined;
  readonly serving?: ServingSettings | undefined;
  readonly maxRequestsInflight: number;
  readonly maxMutatingRequestsInflight: number;
  readonly minRequestTimeoutSeconds: number;
  /** What `--feature-gates` turns on. Absent: nothing. */
  readonly features?: Features | undefined;
  /** `--runtime-config`. Absent: what is on by default. */
  readonly isServed?: IsServed | undefined;
  readonly admission: AdmissionSettings;
  /** Followed while the server runs. Absent: its certificates stay as they are. */
  readonly certificateFiles?: CertificateFiles | undefined;
  /** Absent: nothing is recorded. */
  readonly audit?: AuditSettings | undefined;
  /** Absent: objects are stored as they are. */
  readonly encryption?: { readonly configFile: string; readonly reloads: boolean } | undefined;
  readonly tracingConfigFile?: string | undefined;
  /** Where objects' keys begin in the store. Absent: `/registry`. */
  readonly keyPrefix?: string | undefined;
  /** How long the store may take to answer before it counts as ill. Absent: two seconds each. */
  readonly storeTimeouts?: { readonly healthMs: number; readonly readyMs: number } | undefined;
  readonly leaseReuseSeconds?: number | undefined;
  /** Serves profiles of this process at `/debug/pprof`. */
  readonly profiling?: boolean | undefined;
  /** Families of metrics that are not told. */
  readonly disabledMetrics?: readonly string[] | undefined;
}

/** A registry that custom resources can be added to, or one that is as it is. */
export type ExtensibleRegistry = Registry & Partial<AsyncDisposable> & { readonly extension?: RegistryExtension };

export interface ApiServerDeps {
  /** Opens the registry with this admission chain. The server disposes it when it ends. */
  readonly openRegistry: (admission: AdmissionChain) => Promise<ExtensibleRegistry>;
  readonly codecs: WireCodecs;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly healthChecks?: readonly HealthCheck[];
  /** Told the types of custom resources when they change. */
  readonly publishTypes?: ((resources: readonly OpenApiResource[]) => void) | undefined;
  /** Absent: nothing is traced. */
  readonly tracing?: Tracing | undefined;
  /** Routes beside the server's own: OpenAPI. */
  readonly routes?: readonly PathRoutes[];
  /** Where the proxy subresources may lead. Absent: anywhere but to this host and its link. */
  readonly mayProxyTo?: ((address: string) => boolean) | undefined;
}

/** A server without sockets: requests come by `transport` or through `serve`. */
export interface ApiServer extends AsyncDisposable {
  readonly registry: Registry;
  /** A way in for the same process. It passes authentication, authorisation and admission like any other. */
  transport(identity: MemoryIdentity): Transport;
  /** Listens with TLS. The first port listened on is the one the `kubernetes` service leads to. */
  serve(options: {
    readonly host: string;
    readonly port: number;
    readonly cert: string;
    readonly key: string;
  }): Promise<{ readonly port: number }>;
}

const REQUEST_TIMEOUT_MS = 60_000;
const SHUTDOWN_GRACE_MS = 250;
const DEFAULT_PORT = 6443;

/** Opens the registry, writes a new cluster's first objects and answers requests from then on. */
export async function createApiServer(config: ApiServerConfig, deps: ApiServerDeps): Promise<ApiServer> {
  const { clock, logger, random, codecs } = deps;
  const startedAt = clock.now();
  let opened: Registry | undefined;
  let authorizer: Authorizer = { authorize: () => NO_OPINION };
  const objects = createRegistryReader(() => {
    if (opened === undefined) throw new Error("the registry is not open yet");
    return opened;
  });
  const metrics = new RequestMetrics();
  const { features = NO_FEATURES } = config;
  const admissionMetrics = new AdmissionMetrics(clock);
  metrics.add(() => admissionMetrics.render());
  const caller = createOutboundClient({ clock });
  const outbound = {
    client: deps.tracing === undefined ? caller : traceOutbound(deps.tracing, caller),
    targets: {
      resolve:
        config.aggregation?.routesToEndpoints === true
          ? resolveByEndpoints(objects, random)
          : resolveByClusterIp(objects),
      self: () => createMemoryTransport(handleAsSelf, {}),
    },
  };
  const atOpen: ((registry: Registry) => Disposable)[] = [];
  const { configurationFile } = config.admission;
  const isOn = (plugin: string): boolean => isPluginOn(plugin, config.admission);
  const configurations =
    configurationFile === undefined
      ? config.admission.configurations
      : { ...config.admission.configurations, ...(await readPluginConfigurations(configurationFile, isOn)) };
  const chain = createAdmissionChain(
    createAdmissionPlugins(
      {
        objects,
        clock,
        random,
        logger,
        outbound,
        whenOpen: (action) => void atOpen.push(action),
        addMetrics: (lines) => metrics.add(lines),
        authorizer: { authorize: (a) => authorizer.authorize(a) },
        rbac: () => rbac,
      },
      { ...config.admission, configurations },
    ),
    admissionMetrics,
  );
  let rbac: RbacAuthorizer | undefined;
  const { tracing } = deps;
  const admission = tracing === undefined ? chain : traceAdmission(tracing, chain);
  const registry = await deps.openRegistry(admission);
  opened = registry;
  const { extension } = registry;
  if (extension !== undefined) {
    metrics.add(() => extension.storeMetrics.render());
    metrics.add(() => watchCacheMetrics(extension.hub));
  }
  metrics.add(() => featureMetrics(features));
  const followers = atOpen.map((action) => action(registry));

  const access = new AccessMetrics();
  metrics.add(() => access.render());
  const authorization = await openAuthorization(config.authorizationModes, config.authorization ?? {}, {
    objects,
    registry,
    outbound: outbound.client,
    features,
    metrics: access,
    clock,
    random,
    logger,
  });
  ({ authorizer, rbac } = authorization);
  const hasRbac = rbac !== undefined;
  const authentication = await openAuthentication(config, access, {
    objects,
    outbound: outbound.client,
    clock,
    random,
    logger,
    onAuthoritiesChange: () => takeOverAuthorities(),
  });
  const audit =
    config.audit &&
    (await openAudit(config.audit, { outbound: outbound.client, metrics: access, clock, random, logger }));
  const { tokens, apiAudiences, keys, issuerName } = authentication;
  const { serviceAccounts } = config;

  let advertisedPort = DEFAULT_PORT;
  let isReady = false;
  let isStopping = false;
  let turnsAway = false;
  const serving = config.serving ?? {};
  const catalog = createExtensibleCatalog(loadBuiltInCatalog(servedWith(features, config.isServed)));
  const resources = createResourceRoutes({
    catalog,
    registry,
    codecs,
    clock,
    random,
    admission,
    minRequestTimeoutMs: config.minRequestTimeoutSeconds * 1000,
    connectors: createConnectors({
      objects,
      kubeletClient: config.kubeletClient,
      kubeletAddressTypes: config.kubeletPreferredAddressTypes,
      authorizer,
      clock,
      random,
      mayProxyTo: deps.mayProxyTo,
    }),
    computed: new Map([
      ["/componentstatuses", () => componentStatuses({ objects, clock, checks: deps.healthChecks ?? [] })],
    ]),
    virtual: new Map([
      ["authentication.k8s.io/tokenreviews", tokenReview(tokens, apiAudiences)],
      ["authentication.k8s.io/selfsubjectreviews", selfSubjectReview(clock)],
      ["authorization.k8s.io/subjectaccessreviews", subjectAccessReview(authorizer)],
      ["authorization.k8s.io/localsubjectaccessreviews", localSubjectAccessReview(authorizer)],
      ["authorization.k8s.io/selfsubjectaccessreviews", selfSubjectAccessReview(authorizer)],
      ["authorization.k8s.io/selfsubjectrulesreviews", selfSubjectRulesReview(authorizer)],
      [
        "/serviceaccounts/token",
        tokenRequest({
          objects,
          apiAudiences,
          issuer: authentication.issuer,
          extendsExpiration: serviceAccounts.extendTokenExpiration,
          maxSeconds: serviceAccounts.maxTokenSeconds,
        }),
      ],
    ]),
  });
  metrics.add(() => resources.metrics());
  metrics.add(() => processMetrics(startedAt));
  metrics.add(() => objectMetrics(countResources(catalog, registry)));
  const serverAddress = (): string => `${serving.externalHostname ?? config.advertiseAddress}:${advertisedPort}`;
  const checks = standardChecks({
    own: deps.healthChecks ?? [],
    isReady: () => isReady,
    isStopping: () => isStopping,
  });
  const health = new HealthRoutes(checks);
  const definitionQueue = new WorkQueueMetrics("crd_naming_condition_controller", clock);
  const availabilityQueue = new WorkQueueMetrics("RemoteAvailabilityController", clock);
  metrics.add(() => WorkQueueMetrics.render([definitionQueue, availabilityQueue]));
  const aggregator = createAggregator({
    tracing,
    queue: availabilityQueue,
    catalog,
    registry,
    objects,
    resolve: createServiceResolver({
      objects,
      random,
      routesToEndpoints: config.aggregation?.routesToEndpoints === true,
      self: () => ({ host: config.advertiseAddress, port: advertisedPort }),
    }),
    identity: () => config.aggregation?.proxyClient?.(),
    refusesRedirects: config.aggregation?.forwardsRedirects !== true,
    clock,
    logger,
  });
  metrics.add(() => aggregator.metrics());
  const scope = new TaskScope();
  const inFlight = new InFlightRequests();
  const flow =
    serving.priorityAndFairness === false
      ? undefined
      : openFlowControl({
          registry,
          objects,
          clock,
          logger,
          scope,
          serverSeats: config.maxRequestsInflight + config.maxMutatingRequestsInflight,
        });
  if (flow !== undefined) metrics.add(() => flow.metrics());
  const sendMetrics = async (request: ApiRequest): Promise<void> => {
    const size = extension === undefined ? "" : await storageSizeMetrics(extension.hub.store, clock);
    const headers = baseHeaders(request, "text/plain; version=0.0.4; charset=utf-8");
    const text = withoutFamilies(metrics.render() + size, config.disabledMetrics ?? []);
    request.exchange.send(200, headers, Buffer.from(text));
  };
  const requestTimeoutMs = serving.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
  const paths: readonly PathRoutes[] = [
    createDiscoveryRoutes(aggregator.discovery, serverAddress, codecs),
    (request) => health.serve(request),
    (request) => (request.info.path === "/metrics/slis" ? sendSlis(request, health) : undefined),
    (request) => (/^\/version\/?$/.test(request.info.path) ? sendVersion(request) : undefined),
    (request) => (request.info.path === "/metrics" ? sendMetrics(request) : undefined),
    ...(config.profiling === true ? [createProfileRoutes(clock)] : []),
    createOpenIdRoutes({
      issuer: issuerName,
      jwksUri: () => serviceAccounts.jwksUri ?? `https://${serverAddress()}/openid/v1/jwks`,
      keys,
    }),
    aggregator.withOpenApi(firstOf(deps.routes ?? [])),
    ...(flow === undefined ? [] : [flow.routes]),
    rootRoutes(aggregator.discovery, checks),
  ];
  const filters: FilterChainOptions = {
    authenticate: (exchange) =>
      tracing === undefined
        ? authentication.authenticate(exchange)
        : tracing.part("authentication", {}, () => authentication.authenticate(exchange)),
    challenge: authentication.challenge,
    identityHeaders: config.requestHeader && identityHeadersOf(config.requestHeader),
    audit,
    tracing,
    authorizer:
      tracing === undefined
        ? authorizer
        : { authorize: (a) => tracing.part("authorization", { verb: a.verb }, () => authorizer.authorize(a)) },
    onAuthorized: (decision, seconds) => noteDecision(access, decision, seconds),
    dispatch: withRemotes(aggregator, createDispatch(resources, paths)),
    metrics,
    clock,
    logger,
    requestTimeoutMs,
    inFlight,
    longBodies: new LongBodies(),
    turnsAway: () => turnsAway,
    extraHeaders: createExtraHeaders({
      allowedOrigins: serving.corsAllowedOrigins ?? [],
      transportSecurity: serving.transportSecurity ?? [],
    }),
    flowControl: flow && createFlowFilter({ control: flow.control, metrics, clock, requestTimeoutMs }),
    maxRequestsInflight: config.maxRequestsInflight,
    maxMutatingRequestsInflight: config.maxMutatingRequestsInflight,
  };
  const handle = createFilterChain(filters);
  const handleAsSelf = createFilterChain({ ...filters, authenticate: () => apiServerUser });

  await bootstrap({
    objects,
    hasRbac,
    features,
    clientCa: config.clientCa,
    requestHeader: config.requestHeader,
    now: clock.now(),
    isServed: (group, version) => catalog.hasGroupVersion(group, version),
  });
  await rbac?.synced;
  await flow?.start();
  await aggregator.start();
  const extensions = await openServerExtensions(
    { registry, objects, catalog, clock, logger, outbound, queue: definitionQueue },
    (types) => {
      deps.publishTypes?.(types);
      aggregator.catalogChanged();
    },
  );

  const listeners: Listener[] = [];
  metrics.add(() =>
    family("apiserver_tls_handshake_errors_total", "counter", [
      ["", listeners.reduce((sum, { handshakeErrors }) => sum + handshakeErrors, 0)],
    ]),
  );
  const certificates: AsyncDisposable[] = [];
  const authorityTexts = (): string[] =>
    [authentication.clientCa(), authentication.requestHeaderCa()].filter((pem) => pem !== undefined);
  /** Connections from now on are asked for certificates of the new authorities, and extension servers told of them. */
  const takeOverAuthorities = async (): Promise<void> => {
    for (const listener of listeners) listener.setClientCa(authorityTexts());
    await writeAuthenticationConfig({
      objects,
      clientCa: authentication.clientCa(),
      requestHeader: config.requestHeader && {
        ...config.requestHeader,
        ca: authentication.requestHeaderCa() ?? config.requestHeader.ca,
      },
    });
  };
  return {
    registry,
    transport: (identity) => createMemoryTransport(handle, identity),
    async serve({ host, port, cert, key }) {
      const clientCa = authorityTexts();
      const {
        maxStreamsPerConnection,
        minTlsVersion,
        ciphers,
        namedCertificates,
        http1Only,
        goawayChance = 0,
      } = serving;
      const endsConnection = goawayChance > 0 ? () => turnsAway || random.next() < goawayChance : () => turnsAway;
      const tls = { cert, key, clientCa };
      const limits = { maxStreamsPerConnection, minTlsVersion, ciphers, namedCertificates, http1Only, endsConnection };
      const listener = await listen({ host, port, tls, handle, logger, ...limits });
      listeners.push(listener);
      if (config.certificateFiles !== undefined) {
        certificates.push(await followCertificates(config.certificateFiles, listener, logger));
      }
      if (listeners.length === 1) {
        advertisedPort = listener.port;
        await publishKubernetesService({
          objects,
          serviceIp: firstServiceIp(config.serviceClusterIpRanges[0]!),
          serviceCidrs: config.serviceClusterIpRanges,
          advertiseAddress: config.advertiseAddress,
          port: listener.port,
          publishesEndpoints: serving.publishesEndpoints,
          nodePort: serving.serviceNodePort,
        });
        isReady = true;
      }
      return { port: listener.port };
    },
    async [Symbol.asyncDispose]() {
      isStopping = true;
      // Load balancers see that it is not ready, and send nobody any more.
      if ((serving.shutdownDelayMs ?? 0) > 0) await sleep(clock, serving.shutdownDelayMs ?? 0);
      turnsAway = serving.shutdownSendsRetryAfter === true;
      if (!turnsAway) for (const listener of listeners) listener.drain();
      resources.closeWatches();
      await inFlight.idle(clock, requestTimeoutMs);
      resources.closeWatches();
      await Promise.all(listeners.map((listener) => listener.close(SHUTDOWN_GRACE_MS)));
      flow?.[Symbol.dispose]();
      await scope[Symbol.asyncDispose]();
      for (const followed of certificates) await followed[Symbol.asyncDispose]();
      await audit?.[Symbol.asyncDispose]();
      await extensions[Symbol.asyncDispose]();
      await aggregator[Symbol.asyncDispose]();
      await authentication[Symbol.asyncDispose]();
      await authorization[Symbol.asyncDispose]();
      for (const follower of followers) follower[Symbol.dispose]();
      await outbound.client[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]?.();
    },
  };
}

/** The headers by which a front proxy says for whom it asks, as the transport names them. */
function identityHeadersOf(header: NonNullable<ApiServerConfig["requestHeader"]>): IdentityHeaders {
  const lower = (names: readonly string[]): string[] => names.map((name) => name.toLowerCase());
  const { usernameHeaders, groupHeaders, uidHeaders, extraHeaderPrefixes } = header;
  return {
    names: new Set(lower([...usernameHeaders, ...groupHeaders, ...uidHeaders])),
    prefixes: lower(extraHeaderPrefixes),
  };
}

/** Two slashes are not one: what is looked for is what was authorised, to the letter. */
const EMPTY_PARTS = /\/\/./;

/** What other servers answer for goes to them. */
function withRemotes(aggregator: Aggregator, own: (request: ApiRequest) => Promise<void>): typeof own {
  return (request) => {
    if (EMPTY_PARTS.test(request.info.path) && (!request.info.isResource || request.info.path.startsWith("//"))) {
      sendNotFoundPage(request);
      return Promise.resolve();
    }
    return aggregator.route(request) ?? own(request);
  };
}
