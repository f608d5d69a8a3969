/** What controllers share: the loop around a reconcile function, ownership, expectations, careful batches; what managers do with them. */
export { inParallel } from "./batch/in-parallel.ts";
export { slowStart } from "./batch/slow-start.ts";
export {
  defineController,
  done,
  isNamespaceTerminating,
  requeueAfter,
  type Controller,
  type ControllerDefinition,
  type ControllerDeps,
  type ReconcileContext,
  type ReconcileResult,
} from "./controller/define-controller.ts";
export { mapped, matchingOrphans, owned, type Watch, type WatchContext } from "./controller/watches.ts";
export { createExpectations, EXPECTATION_TTL_MS, type Expectations } from "./expectations/expectations.ts";
export { runControllers, type ManagedController, type ManagerContext } from "./manager/run-controllers.ts";
export { isSelected, readSelection } from "./manager/selection.ts";
export {
  byController,
  claim,
  controlledBy,
  controllerOf,
  controllerReference,
  isControlledBy,
  type ClaimOptions,
} from "./ownership/ownership.ts";
export {
  isEmptySelector,
  labelMatcher,
  labelsMatcher,
  type LabelMatcher,
  type Labels,
} from "./selector/label-selector.ts";
