import hooks from "eslint-plugin-react-hooks";
import { defineConfig, globalIgnores } from "eslint/config";
import typescript from "typescript-eslint";

// Without types, which the compiler checks, strictly: with them it takes half a minute.
export default defineConfig(globalIgnores(["node_modules", "public", "src/api/schema.d.ts"]), typescript.configs.strict, typescript.configs.stylistic, hooks.configs.flat.recommended, {
  rules: {
    // `== null` asks for null and undefined at once.
    eqeqeq: ["error", "always", { null: "ignore" }],
    "no-console": "error",
    "@typescript-eslint/consistent-type-imports": "error",
  },
});
