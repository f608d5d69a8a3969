/** What expressions about admission know: declared with the evaluator, as the check of their types needs it, too. */
export { admissionEnvironment, admissionEnvironmentWithoutAuthorizer } from "@coracle/cel";
