/** `./server`: the same functions as the main entry, under the name other adapters use. */
export {
  createServerAdapter,
  execute,
  type OpenCodeK8sAdapterModule,
  sessionCodec,
  testEnvironment,
} from "./index.js";
