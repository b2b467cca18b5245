// Every method of taquito's RpcClient, asked of a node: `node taquito_reads.js URL`.
//
// A method that is not in the table here fails, so that none is forgotten.
"use strict";
const kit = require("./kit.js");
const { SECRETS, URL, step, toolkit, fresh, applied, assert, InMemorySigner, RpcClient } = kit;

// Contracts that the protocol makes
const BAKING = "KT1AafHA1C1vk959wvHWBispY9Y2f3fxBUUo";
const SHARED = "KT1TxqZ8QtKvLu3V3JH7Gx58n7Co8pgtpQU5";
const NO_SCRIPTS = /does not have the scripts of contracts/;
const NO_MICHELSON = /does not have Michelson/;
const unit = { prim: "Unit" };
const code = [
  { prim: "parameter", args: [{ prim: "unit" }] },
  { prim: "storage", args: [{ prim: "unit" }] },
  { prim: "code", args: [[]] },
];

async function main() {
  const rpc = new RpcClient(URL);
  const [one, two] = SECRETS.slice(0, 2).map((secret) => new InMemorySigner(secret));
  const [baker, other] = [await one.publicKeyHash(), await two.publicKeyHash()];
  const own = toolkit(one);
  const sent = await applied(await own.contract.transfer({ to: other, amount: 1 }));
  const nobody = await (await fresh("ed")).publicKeyHash();
  const chain_id = await rpc.getChainId();
  const branch = await rpc.getBlockHash();
  const contents = [{
    kind: "transaction", source: other, fee: "1000", counter: "99", gas_limit: "2000", storage_limit: "0",
    amount: "1", destination: baker,
  }];
  contents[0].counter = String(Number((await rpc.getContract(other)).counter) + 1);
  const signature = "edsigtXomBKi5CTRf5cjATJWSyaRvhfYNHqSUGrn4SdbYRcGwQrUGjzEfQDTuqHhuA8b2d8NarZjz8TRf65WkpQmo423BtomS8Q";

  /** What a method should answer: a check of the value, or words of the error. */
  const methods = {
    getBlockHash: [[[], /^B/], [[{ block: "head~1" }], /^B/], [[{ block: "1" }], /^B/]],
    getLiveBlocks: [[[], (value) => value.length > 1 && value[0].startsWith("B")]],
    getBalance: [[[baker], (value) => value.gt(0)], [[nobody], (value) => value.eq(0)],
      [[baker, { block: "head~2" }], (value) => value.gt(0)], [[SHARED], (value) => value.gt(0)]],
    getFullBalance: [[[baker], (value) => value.gt(0)], [[nobody], /storage_error/]],
    getStakedBalance: [[[baker], (value) => value.gt(0)]],
    getUnstakedFinalizableBalance: [[[baker], (value) => value.gte(0)]],
    getUnstakedFrozenBalance: [[[baker], (value) => value.gte(0)]],
    getUnstakeRequests: [[[baker], (value) => value === null || "finalizable" in value]],
    getContract: [[[baker], (value) => value.delegate === baker && value.balance.gt(0)]],
    getManagerKey: [[[baker], /^edpk/], [[nobody], (value) => value === null]],
    getDelegate: [[[baker], (value) => value === baker], [[nobody], (value) => value === null]],
    getAllDelegates: [[[], (value) => value.length >= 5],
      [[{ active: true }], (value) => value.length >= 5], [[{ active: false }], (value) => value.length >= 5],
      [[{ active: false, inactive: true }], (value) => value.length === 0],
      [[{ active: true, inactive: true }], (value) => value.length >= 5]],
    getDelegates: [[[baker], (value) => value.staking_balance.gt(0) && value.deactivated === false]],
    getVotingInfo: [[[baker], (value) => Number(value.voting_power) > 0]],
    getConstants: [[[], (value) => value.blocks_per_cycle === 8 && value.cost_per_byte.eq(250)],
      [[{ block: "1" }], (value) => value.hard_gas_limit_per_operation.gt(0)]],
    getBlock: [[[], (value) => value.operations.length === 4],
      [[{ block: String(sent.includedInBlock) }], (value) => value.operations[3][0].hash === sent.hash],
      [[{ block: "0" }], (value) => value.header.level === 0],
      [[{ block: "1", version: "1" }], (value) => value.header.level === 1],
      [[{ block: branch, version: "0" }], (value) => value.hash === branch]],
    getBlockHeader: [[[], (value) => value.level > 1 && value.fitness.length === 5],
      [[{ block: "genesis" }], (value) => value.level === 0]],
    getBlockMetadata: [[[], (value) => value.baker.startsWith("mv1")],
      [[{ block: "1" }], (value) => value.next_protocol.startsWith("PtBoreas")],
      [[{ block: "head", version: "0" }], (value) => value.baker.startsWith("mv1")]],
    getBakingRights: [[[], (value) => value.length > 0 && value[0].round === 0],
      [[{ max_round: 3 }], (value) => value.every((one) => one.round <= 3)],
      [[{ level: 2, delegate: baker }], (value) => value.every((one) => one.delegate === baker)],
      [[{ cycle: 1, all: true }], (value) => value.length > 8],
      [[{ consensus_key: baker }], (value) => value.every((one) => one.consensus_key === baker)]],
    getAttestationRights: [[[], (value) => value[0].delegates.length > 0],
      [[{ level: 2 }], (value) => value[0].level === 2],
      [[{ cycle: 1, delegate: baker }], (value) => value.length > 0]],
    getBallotList: [[[], Array.isArray]],
    getBallots: [[[], (value) => value.yay.gte(0)]],
    getCurrentProposal: [[[], (value) => value === null || value.startsWith("P")]],
    getCurrentQuorum: [[[], (value) => value > 0]],
    getVotesListings: [[[], (value) => value.length >= 5 && value[0].voting_power.gt(0)]],
    getProposals: [[[], Array.isArray]],
    forgeOperations: [[[{ branch, contents }], /^[0-9a-f]+$/]],
    injectOperation: [[["00"], /Can't parse|parse/]],
    preapplyOperations: [[[[{ branch, contents, protocol: kit.ProtocolsHash.PtBoreas, signature }]],
      /invalid_signature|apply|signature/]],
    runOperation: [[[{ operation: { branch, contents, signature }, chain_id }],
      (value) => value.contents[0].metadata.operation_result.status === "applied"]],
    simulateOperation: [[[{ operation: { branch, contents, signature }, chain_id }],
      (value) => value.contents[0].metadata.operation_result.status === "applied"]],
    getChainId: [[[], /^Net/]],
    getCurrentPeriod: [[[], (value) => value.remaining >= 0]],
    getSuccessorPeriod: [[[], (value) => value.remaining >= 0]],
    getProtocols: [[[], (value) => value.next_protocol.startsWith("PtBoreas")],
      [[{ block: "1" }], (value) => value.next_protocol.startsWith("PtBoreas")]],
    getAdaptiveIssuanceLaunchCycle: [[[], (value) => value === null || value >= 0]],
    getPendingOperations: [[[], (value) => Array.isArray(value.validated)],
      [[{ version: "1" }], (value) => Array.isArray(value.applied)],
      [[{ version: "2", validated: false, validation_pass: 3 }], (value) => value.validated.length === 0],
      [[{ source: baker }], (value) => Array.isArray(value.validated)]],
    // Scripts and Michelson are left out, and the node says so
    getStorage: [[[BAKING], NO_SCRIPTS]],
    getScript: [[[BAKING], NO_SCRIPTS]],
    getNormalizedScript: [[[BAKING, { unparsing_mode: "Readable" }], NO_SCRIPTS]],
    getEntrypoints: [[[BAKING], NO_SCRIPTS]],
    getBigMapKey: [[[BAKING, { key: { int: "1" }, type: { prim: "nat" } }], NO_SCRIPTS]],
    getBigMapExpr: [[["0", "expru5X1yxJG6ezR2uHMotwMLNmSzQyh5t1vUnhjx4cS6Pv9qE1Sdo"], /\(404\)/]],
    getSaplingDiffById: [[["0"], /\(404\)/]],
    getSaplingDiffByContract: [[[BAKING], NO_SCRIPTS]],
    getStorageUsedSpace: [[[BAKING], NO_SCRIPTS]],
    getStoragePaidSpace: [[[BAKING], NO_SCRIPTS]],
    getTicketBalance: [[[BAKING, { ticketer: BAKING, content_type: { prim: "unit" }, content: unit }],
      (value) => value === "0"]],
    getAllTicketBalances: [[[BAKING], (value) => value.length === 0]],
    runCode: [[[{ script: code, storage: unit, input: unit, amount: "0", chain_id }], NO_MICHELSON]],
    runView: [[[{ contract: BAKING, entrypoint: "x", input: unit, chain_id }], NO_MICHELSON]],
    runScriptView: [[[{ contract: BAKING, view: "x", input: unit, chain_id }], NO_MICHELSON]],
    packData: [[[{ data: unit, type: { prim: "unit" } }], NO_MICHELSON]],
  };

  const known = Object.getOwnPropertyNames(RpcClient.prototype);
  const plumbing = ["constructor", "createURL", "validateAddress", "validateContract", "getRpcUrl"];
  await step("no method is forgotten", () => {
    const forgotten = known.filter((name) => !(name in methods) && !plumbing.includes(name));
    assert.deepStrictEqual(forgotten, []);
  });
  for (const [name, cases] of Object.entries(methods)) {
    for (const [index, [args, wanted]] of cases.entries()) {
      await step(`${name} ${index + 1}`, async () => {
        let value;
        try {
          value = await rpc[name](...args);
        } catch (error) {
          if (!(wanted instanceof RegExp) || !wanted.test(`${error.message} ${error.body}`)) throw error;
          return;
        }
        const right = wanted instanceof RegExp ? wanted.test(value) : wanted(value);
        assert.ok(right, `answered ${JSON.stringify(value).slice(0, 300)}`);
      });
    }
  }
  process.exitCode = kit.summary();
}

main();
