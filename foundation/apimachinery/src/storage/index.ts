/** Which volume may serve which claim, and which driver serves what was built in once: rules of all who bind volumes. */
export {
  asDriverSees,
  driverOfPlugin,
  driverOfProvisioner,
  inTreeKindOf,
  isInlineMigratable,
  migratedVolume,
  type DriverVolume,
} from "./in-tree-drivers.ts";
export {
  BIND_COMPLETED,
  BOUND_BY_CONTROLLER,
  boundTo,
  candidatesFor,
  classOfClaim,
  classOfVolume,
  hasClass,
  hasModes,
  isMeantFor,
  isOfSameMode,
  requestOf,
  SELECTED_NODE,
  sizeOf,
  type Candidates,
} from "./persistent-volumes.ts";
export { claimUseOf, claimUsesOf, foreignClaim, type ClaimUse } from "./pod-claims.ts";
