import type { CelType } from "../types/cel-type.ts";
import type { CelValue } from "../values/value.ts";
import type { EvaluationContext } from "../evaluate/context.ts";

/** Computes a call. Arguments are values, never errors. */
export type Implementation = (args: readonly CelValue[], context: EvaluationContext) => CelValue;

/** One signature of a function. */
export interface Overload {
  readonly id: string;
  readonly args: readonly CelType[];
  readonly result: CelType;
  /** Called as `target.name(…)`; the target is the first argument. */
  readonly member: boolean;
  /** Missing where the evaluator itself knows what to do. */
  readonly call?: Implementation;
}

/** A function with all its signatures. */
export interface FunctionDeclaration {
  readonly name: string;
  readonly overloads: readonly Overload[];
  /** Arguments are not compared with the signature before the call. */
  readonly unguarded?: boolean;
  /** One implementation of all signatures, which looks at the arguments itself. */
  readonly call?: Implementation;
}

/** An object type: what it is called and what its fields are. */
export interface ObjectDeclaration {
  readonly name: string;
  field(name: string): CelType | undefined;
  /** Makes a value of the type; missing where expressions cannot. */
  construct?(fields: ReadonlyMap<string, CelValue>): CelValue;
}

/** What names mean while an expression is checked. */
export interface Declarations {
  readonly functions: ReadonlyMap<string, FunctionDeclaration>;
  /** The type of a variable. */
  variable(name: string): CelType | undefined;
  /** The type a name denotes, such as `int`. */
  denoted(name: string): CelType | undefined;
  object(name: string): ObjectDeclaration | undefined;
}
