import type { TokenRequest } from "@coracle/api/authentication/v1";
import { ServiceAccount } from "@coracle/api/core/v1";
import { isAlreadyExists, isNotFound } from "@coracle/apimachinery";
import type { Clock, Random } from "@coracle/base";
import type { ApiClient } from "../api-client.ts";
import { createApiClient } from "../client.ts";
import type { Transport } from "../transport/transport.ts";

export interface ServiceAccountClientsOptions {
  /** Makes the accounts and asks for their tokens. */
  readonly client: ApiClient;
  /** Reaches the server without an identity of its own: a certificate there would win over the token. */
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  /** The program, before the identity's name. */
  readonly userAgent: string;
}

const NAMESPACE = "kube-system";
const LIFETIME_SECONDS = 3600;
/** Part of a token's life after which the next one is asked for. */
const RENEW_AT = 0.8;

/**
 * Clients that each act as their own service account in kube-system, so that a controller has the rights of its role
 * and no more. Accounts are made and tokens asked for on first use; all share one transport, which stays the caller's.
 */
export function serviceAccountClients(options: ServiceAccountClientsOptions): (identity: string) => ApiClient {
  const { transport, clock, random } = options;
  return (identity) => {
    const tokens = tokenSource(options, identity);
    return createApiClient({
      userAgent: `${options.userAgent}/${identity}`,
      clock,
      random,
      withoutManagedFields: true,
      transport: {
        async request(request) {
          const send = async () => {
            const headers = { ...request.headers, authorization: `Bearer ${await tokens.get()}` };
            return await transport.request({ ...request, headers });
          };
          const response = await send();
          if (response.status !== 401) return response;
          for await (const _ of response.body); // read to its end before asking again
          tokens.forget();
          return await send();
        },
        async [Symbol.asyncDispose]() {},
      },
    });
  };
}

interface TokenSource {
  get(): Promise<string>;
  forget(): void;
}

function tokenSource({ client, clock }: ServiceAccountClientsOptions, name: string): TokenSource {
  let pending: Promise<string> | undefined;
  let renewAt = 0;

  async function request(): Promise<string> {
    const body = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      metadata: {},
      spec: { audiences: [], expirationSeconds: LIFETIME_SECONDS },
    };
    const post = (): Promise<TokenRequest> =>
      client.post<TokenRequest>(ServiceAccount, { namespace: NAMESPACE, name }, "token", body);
    let answer: TokenRequest;
    try {
      answer = await post();
    } catch (error) {
      if (!isNotFound(error)) throw error;
      try {
        await client.create(ServiceAccount, { metadata: { namespace: NAMESPACE, name } });
      } catch (createError) {
        if (!isAlreadyExists(createError)) throw createError;
      }
      answer = await post();
    }
    return answer.status?.token ?? "";
  }

  return {
    get() {
      if (pending !== undefined && clock.now() < renewAt) return pending;
      renewAt = clock.now() + LIFETIME_SECONDS * 1000 * RENEW_AT;
      const asked = request();
      pending = asked;
      asked.catch(() => {
        if (pending === asked) pending = undefined;
      });
      return asked;
    },
    forget: () => void (pending = undefined),
  };
}
