import { AUTHORIZATION } from "./authorizer.ts";
import { mergeFunctions } from "./define.ts";
import { NAMED_FORMATS } from "./formats.ts";
import { LISTS } from "./lists.ts";
import { NETWORKS } from "./networks.ts";
import { OPTIONALS } from "./optional.ts";
import { QUANTITIES } from "./quantities.ts";
import { REGULAR_EXPRESSIONS } from "./regular-expressions.ts";
import { SEMANTIC_VERSIONS } from "./semantic-versions.ts";
import { STANDARD } from "./standard.ts";
import { TEXT } from "./text.ts";
import { URLS } from "./urls.ts";

/** Every function that Kubernetes 1.35 switches on. */
export const KUBERNETES_FUNCTIONS = mergeFunctions(
  STANDARD,
  URLS,
  REGULAR_EXPRESSIONS,
  LISTS,
  AUTHORIZATION,
  OPTIONALS,
  QUANTITIES,
  TEXT,
  NETWORKS,
  NAMED_FORMATS,
  SEMANTIC_VERSIONS,
);
