/** OpenID Connect as flags give it. */
export interface OpenIdFlags {
  readonly issuerUrl: string;
  readonly clientId: string;
  /** PEM; absent: the host's authorities. */
  readonly ca?: string | undefined;
  readonly usernameClaim: string;
  /** `""`: made from the issuer unless the claim is `email`; `-`: none. */
  readonly usernamePrefix: string;
  readonly groupsClaim: string;
  readonly groupsPrefix: string;
  readonly signingAlgorithms: readonly string[];
  readonly requiredClaims: Readonly<Record<string, string>>;
}

/** A service asked over the network, as a kubeconfig file describes it. */
export interface WebhookSettings {
  readonly kubeconfigFile: string;
  readonly version: string;
}

/** How users prove who they are, beside what the older fields of the server's configuration say. */
export interface AuthenticationSettings {
  /** Followed: a change takes effect on the next request. Absent: the texts given at the start stand. */
  readonly clientCaFile?: string | undefined;
  readonly requestHeaderCaFile?: string | undefined;
  /** Followed, too. */
  readonly basicAuthFile?: string | undefined;
  readonly bootstrapTokens?: boolean | undefined;
  readonly openId?: OpenIdFlags | undefined;
  /** AuthenticationConfiguration; followed. */
  readonly configFile?: string | undefined;
  /** Whether anonymous requests were allowed or refused by a word of the user: the file may not say it again. */
  readonly anonymousIsSet?: boolean | undefined;
  readonly webhook?: (WebhookSettings & { readonly cacheTtlMs: number }) | undefined;
}
