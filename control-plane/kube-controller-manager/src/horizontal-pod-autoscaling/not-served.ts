import { isNotFound } from "@coracle/apimachinery";

const NOBODY = /^(404 page not found)?\s*$/;

/** What an error says, as client-go tells it: a path that nobody answers properly is a resource that could not be found. */
export function reasonOf(error: unknown, request: string): string {
  const message = error instanceof Error ? error.message : String(error);
  return isNotFound(error) && NOBODY.test(message)
    ? `the server could not find the requested resource (${request})`
    : message;
}
