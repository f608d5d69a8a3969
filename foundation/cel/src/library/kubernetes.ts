import { AUTHORIZATION } from "./authorizer.ts";
import { mergeFunctions } from "./define.ts";
import { OPTIONALS } from "./optional.ts";
import { REGULAR_EXPRESSIONS } from "./regular-expressions.ts";
import { STANDARD } from "./standard.ts";

/** Every function that Kubernetes 1.35 switches on. */
export const KUBERNETES_FUNCTIONS = mergeFunctions(STANDARD, REGULAR_EXPRESSIONS, AUTHORIZATION, OPTIONALS);
