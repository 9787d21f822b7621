// The package's own entry for Node is broken (a CommonJS file in a package of type "module"), and its module is untyped.
declare module "wgsl_reflect/wgsl_reflect.module.js" {
  export * from "wgsl_reflect/types/index.js";
}
