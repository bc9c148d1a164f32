// The evaluation of grants, for programs that explain them to people. It is not part of the package.
export {
  type Grant,
  isAllowed,
  type Resource,
  ROLES,
  type Role,
  whatIsMissing,
} from "../core/access/grants.ts";
export {
  OPERATIONS_OF,
  type Operation,
  operationNamed,
  type ResourceType,
} from "../core/access/operations.ts";
