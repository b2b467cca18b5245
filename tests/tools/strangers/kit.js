// What the programs with taquito share: steps, toolkits, accounts and waits.
//
// Each step is one line of the output: its name and `ok`, or what went wrong.
"use strict";
const { createRequire } = require("module");
const required = createRequire(process.cwd() + "/");
const { MavrykToolkit, PollingSubscribeProvider, RpcForger, CompositeForger, TaquitoLocalForger, RPCPacker } =
  required("@mavrykdynamics/taquito");
const { RpcClient } = required("@mavrykdynamics/taquito-rpc");
const { InMemorySigner } = required("@mavrykdynamics/taquito-signer");
const { LocalForger, ProtocolsHash } = required("@mavrykdynamics/taquito-local-forging");
const assert = require("assert");
const crypto = require("crypto");

const URL = process.argv[2];
const DEMO = "ProtoDemoCounterDemoCounterDemoCounterDemoCou4LSpdT";
const SECRETS = [
  "edsk3gUfUPyBSfrS9CCgmCiQsTCHGkviBDusMxDJstFtojtc1zcpsh",
  "edsk39qAm1fiMjgmPkw1EgQYkMzkJezLNewd7PLNHTkr6w9XA2zdfo",
  "edsk4ArLQgBTLWG5FJmnGnT689VKoqhXwmDPBuGx3z4cvwU9MmrPZZ",
  "edsk2uqQB9AY4FvioK2YMdfmyMrer5R8mGFyuaLLFfSRo8EoyNdht3",
  "edsk4QLrcijEffxV31gGdN2HU7UpyJjA8drFoNcmnB28n89YjPNRFm",
];
const BURN = "mv2burnburnburnburnburnburnbur7hzNeg";

let failed = 0;
let done = 0;
const only = process.argv[3] ? new RegExp(process.argv[3]) : null;

async function step(name, body) {
  if (only && !only.test(name)) return undefined;
  done += 1;
  try {
    const result = await body();
    console.log(`${name}: ok`);
    return result;
  } catch (error) {
    failed += 1;
    const text = (error && error.stack) || String(error);
    console.log(`${name}: FAILED ${text.split("\n").slice(0, 8).join(" | ").slice(0, 900)}`);
    return undefined;
  }
}

/** The step is right if taquito reports one of these error ids, which the real node has too. */
async function refused(name, words, body) {
  await step(name, async () => {
    let result;
    try {
      result = await body();
    } catch (error) {
      const text = `${error.message} ${error.body || ""} ${JSON.stringify(error.errors || "")}`;
      assert.ok(words.some((word) => text.includes(word)), `unexpected refusal: ${text.slice(0, 300)}`);
      return;
    }
    throw new Error(`not refused: ${JSON.stringify(result).slice(0, 200)}`);
  });
}

function toolkit(signer, settings = {}) {
  const kit = new MavrykToolkit(URL);
  kit.setProvider({
    signer,
    config: { confirmationPollingTimeoutSecond: 60, defaultConfirmationCount: 1, ...settings },
  });
  kit.setStreamProvider(kit.getFactory(PollingSubscribeProvider)({ pollingIntervalMilliseconds: 100 }));
  return kit;
}

async function fresh(curve) {
  const { b58cencode, prefix, Prefix } = required("@mavrykdynamics/taquito-utils");
  const kinds = { ed: Prefix.EDSK2, sp: Prefix.SPSK, p2: Prefix.P2SK };
  const seed = crypto.randomBytes(32);
  seed[0] = 1; // below the order of either curve
  return new InMemorySigner(b58cencode(seed, prefix[kinds[curve]]));
}

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Wait until something is true of the chain. */
async function until(what, seconds = 90) {
  for (let left = seconds * 5; left > 0; left -= 1) {
    const value = await what();
    if (value) return value;
    await sleep(0.2);
  }
  throw new Error("it did not come true");
}

/** Wait until it is in a block; votes have no status. */
async function applied(operation, status = "applied") {
  await operation.confirmation();
  assert.strictEqual(operation.status, status);
  const block = await operation.context.rpc.getBlock({ block: String(operation.includedInBlock) });
  const hashes = block.operations.flat().map((one) => one.hash);
  assert.ok(hashes.includes(operation.hash), "not in the block that it was found in");
  return operation;
}

module.exports = {
  URL, DEMO, SECRETS, BURN, step, refused, toolkit, fresh, sleep, until, applied, required, assert,
  RpcClient, RpcForger, CompositeForger, TaquitoLocalForger, RPCPacker, LocalForger, ProtocolsHash,
  InMemorySigner, MavrykToolkit,
  summary: () => {
    console.log(`${done - failed} of ${done} steps are right`);
    return failed ? 1 : 0;
  },
};
