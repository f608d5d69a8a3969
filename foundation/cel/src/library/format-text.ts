import type { Call } from "../syntax/expression.ts";
import type { CelIssue } from "../syntax/source.ts";

export function checkFormatCall(_call: Call, _issues: CelIssue[]): void {}
