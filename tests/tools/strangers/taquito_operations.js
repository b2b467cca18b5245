// What taquito does with a node: `node taquito_operations.js URL`, in a folder whose node_modules has it.
//
// Somebody bakes on the node meanwhile, a block every now and then; its periods of votes are short.
"use strict";
const kit = require("./kit.js");
const { DEMO, SECRETS, step, refused, toolkit, fresh, until, applied, assert, InMemorySigner } = kit;

async function main() {
  const signers = SECRETS.map((secret) => new InMemorySigner(secret));
  const kits = signers.map((signer) => toolkit(signer));
  const [one, two, three] = kits;
  const names = await Promise.all(signers.map((signer) => signer.publicKeyHash()));

  // Transfers

  await step("transfer to an account", async () => {
    const before = await one.mv.getBalance(names[1]);
    await applied(await one.contract.transfer({ to: names[1], amount: 1.5 }));
    assert.ok((await one.mv.getBalance(names[1])).minus(before).toNumber() >= 1500000);
  });
  await step("transfer in mumav, with limits", async () => {
    const sent = { to: names[1], amount: 7, mumav: true, fee: 1000, gasLimit: 3000, storageLimit: 300 };
    const operation = await applied(await one.contract.transfer(sent));
    assert.strictEqual(operation.fee, 1000);
    assert.strictEqual(Number(operation.amount), 7);
    assert.ok(Number(operation.consumedMilliGas) > 0);
  });

  const accounts = {};
  for (const curve of ["ed", "sp", "p2"]) {
    const signer = await fresh(curve);
    const kitOf = toolkit(signer);
    accounts[curve] = { signer, kit: kitOf, name: await signer.publicKeyHash() };
    await step(`an account of ${curve}pk: allocate, reveal and send`, async () => {
      const given = await applied(await two.contract.transfer({ to: accounts[curve].name, amount: 7000 }));
      assert.strictEqual(Number(given.storageDiff || 0), 0);
      const operation = await applied(await kitOf.contract.transfer({ to: names[0], amount: 1 }));
      assert.ok(operation.revealOperation, "it was not revealed");
      assert.strictEqual(operation.revealStatus, "applied");
      const key = await kitOf.rpc.getManagerKey(accounts[curve].name);
      assert.strictEqual(key, await signer.publicKey());
    });
  }
  const { ed, sp, p2 } = accounts;

  await step("reveal by itself", async () => {
    const signer = await fresh("ed");
    const name = await signer.publicKeyHash();
    await applied(await one.contract.transfer({ to: name, amount: 2 }));
    const other = toolkit(signer);
    await applied(await other.contract.reveal({}));
    await applied(await other.contract.transfer({ to: names[0], amount: 0.1 }));
    assert.strictEqual(await other.estimate.reveal(), undefined);
  });
  await refused("reveal of who is revealed", ["revealed"], () => one.contract.reveal({}));
  await refused("more than it has", ["balance_too_low", "subtraction_underflow"], () =>
    ed.kit.contract.transfer({ to: names[0], amount: 1e9 }),
  );
  await refused("an empty transfer", ["empty_transaction"], () =>
    one.contract.transfer({ to: names[1], amount: 0 }),
  );
  await refused("too little gas", ["gas_exhausted"], () =>
    one.contract.transfer({ to: names[1], amount: 1, gasLimit: 10, fee: 1000, storageLimit: 0 }),
  );
  await refused("more gas than any operation may have", ["gas_limit_too_high"], () =>
    one.contract.transfer({ to: names[1], amount: 1, gasLimit: 99999999, fee: 1000, storageLimit: 0 }),
  );
  await refused("from nothing", ["empty_implicit_contract", "balance_too_low"], async () =>
    toolkit(await fresh("ed")).contract.transfer({ to: names[1], amount: 1 }),
  );

  // Batches

  await step("batch of transfers and a delegation", async () => {
    const batch = one.contract
      .batch()
      .withTransfer({ to: names[1], amount: 0.1 })
      .withTransfer({ to: names[2], amount: 0.2 })
      .withTransfer({ to: await (await fresh("sp")).publicKeyHash(), amount: 0.3 });
    const operation = await applied(await batch.send());
    assert.strictEqual(operation.results.length, 3);
  });
  await step("batch of who is not revealed", async () => {
    const signer = await fresh("p2");
    await applied(await one.contract.transfer({ to: await signer.publicKeyHash(), amount: 3 }));
    const batch = toolkit(signer).contract.batch([
      { kind: "transaction", to: names[1], amount: 0.1 },
      { kind: "delegation", source: await signer.publicKeyHash(), delegate: names[1] },
    ]);
    await applied(await batch.send());
  });
  await refused("batch of which one fails", ["balance_too_low", "subtraction_underflow"], () =>
    ed.kit.contract.batch().withTransfer({ to: names[0], amount: 1 }).withTransfer({ to: names[0], amount: 1e9 }).send(),
  );

  // Delegation and stakes

  await step("set, change and remove the delegate", async () => {
    await applied(await ed.kit.contract.setDelegate({ source: ed.name, delegate: names[0] }));
    assert.strictEqual(await ed.kit.rpc.getDelegate(ed.name), names[0]);
    await applied(await ed.kit.contract.setDelegate({ source: ed.name, delegate: names[1] }));
    assert.strictEqual(await ed.kit.rpc.getDelegate(ed.name), names[1]);
    await applied(await ed.kit.contract.setDelegate({ source: ed.name }));
    assert.strictEqual(await ed.kit.rpc.getDelegate(ed.name), null);
  });
  await step("register as delegate", async () => {
    await applied(await sp.kit.contract.registerDelegate({}));
    assert.strictEqual((await sp.kit.rpc.getDelegates(sp.name)).deactivated, false);
    assert.ok((await sp.kit.rpc.getAllDelegates()).includes(sp.name));
  });
  await refused("register again", ["delegate.already_active"], () => sp.kit.contract.registerDelegate({}));
  await refused("a delegate who is none", ["unregistered_delegate"], async () =>
    ed.kit.contract.setDelegate({ source: ed.name, delegate: await (await fresh("ed")).publicKeyHash() }),
  );
  await refused("a delegate who leaves", ["delegate.no_deletion"], () =>
    one.contract.setDelegate({ source: names[0] }),
  );
  await step("update the consensus key", async () => {
    const key = await (await fresh("p2")).publicKey();
    await applied(await sp.kit.contract.updateConsensusKey({ pk: key }));
    assert.ok(JSON.stringify(await sp.kit.rpc.getDelegates(sp.name)).includes("pending_consensus_keys"));
  });
  await step("stake and unstake of a delegate", async () => {
    const before = await one.rpc.getStakedBalance(names[0]);
    await applied(await one.contract.stake({ amount: 100 }));
    assert.strictEqual((await one.rpc.getStakedBalance(names[0])).minus(before).toNumber(), 100000000);
    await applied(await one.contract.unstake({ amount: 50 }));
    const requests = await one.rpc.getUnstakeRequests(names[0]);
    assert.ok(requests.unfinalizable.requests.length + requests.finalizable.length >= 1);
    assert.ok((await one.rpc.getUnstakedFrozenBalance(names[0])).toNumber() >= 50000000);
    await applied(await one.contract.finalizeUnstake({}));
    await one.rpc.getUnstakedFinalizableBalance(names[0]);
    await one.rpc.getFullBalance(names[0]);
  });
  await refused("stake without a delegate", ["no_delegate", "not_delegated", "delegate"], () =>
    p2.kit.contract.stake({ amount: 1 }),
  );

  // Estimates

  await step("estimates", async () => {
    const transfer = await one.estimate.transfer({ to: names[1], amount: 1 });
    assert.ok(transfer.gasLimit > 0 && transfer.suggestedFeeMumav > 0 && transfer.minimalFeeMumav > 0);
    const empty = await one.estimate.transfer({ to: await (await fresh("ed")).publicKeyHash(), amount: 1 });
    // 257 bytes, and the 20 that taquito has in reserve
    assert.strictEqual(empty.storageLimit, 277);
    assert.strictEqual(empty.burnFeeMumav, 277 * 250);
    await one.estimate.stake({ amount: 1 });
    await one.estimate.unstake({ amount: 1 });
    await one.estimate.finalizeUnstake({});
    await ed.kit.estimate.setDelegate({ source: ed.name, delegate: names[0] });
    await p2.kit.estimate.registerDelegate({});
    await one.estimate.updateConsensusKey({ pk: await (await fresh("sp")).publicKey() });
    const batch = await one.estimate.batch([
      { kind: "transaction", to: names[1], amount: 1 },
      { kind: "transaction", to: names[2], amount: 2 },
    ]);
    assert.strictEqual(batch.length, 2);
  });
  await step("the dearest transfer", async () => {
    const signer = await fresh("ed");
    const other = toolkit(signer);
    const name = await signer.publicKeyHash();
    await applied(await two.contract.transfer({ to: name, amount: 5 }));
    await applied(await other.contract.reveal({}));
    const balance = await other.mv.getBalance(name);
    const { suggestedFeeMumav: fee, gasLimit } = await other.estimate.transfer({
      to: names[0], amount: balance.minus(1000).toNumber(), mumav: true,
    });
    const amount = balance.minus(fee).toNumber();
    const sent = { to: names[0], amount, mumav: true, fee, gasLimit, storageLimit: 0 };
    await applied(await other.contract.transfer(sent));
    assert.strictEqual((await other.mv.getBalance(name)).toNumber(), 0);
  });

  // Noops, preparation, preapplication

  await refused("failing noop is refused", ["failing_noop"], async () => {
    const signed = await one.contract.failingNoop({ arbitrary: "48656c6c6f", basedOnBlock: "head" });
    return one.rpc.injectOperation(signed.bytes + signed.signature.slice(0, 0) + "00".repeat(64));
  });
  await step("failing noop is signed for head and genesis", async () => {
    await one.contract.failingNoop({ arbitrary: "48656c6c6f", basedOnBlock: "head" });
    await one.contract.failingNoop({ arbitrary: "48656c6c6f", basedOnBlock: "genesis" });
  });
  await step("prepare and preapply", async () => {
    const prepared = await one.prepare.transaction({ to: names[1], amount: 1 });
    const params = await one.prepare.toPreapply(prepared);
    const [answer] = await one.rpc.preapplyOperations(params);
    assert.strictEqual(answer.contents[0].metadata.operation_result.status, "applied");
    const forged = one.prepare.toForge(prepared);
    assert.strictEqual(await new kit.LocalForger(kit.ProtocolsHash.PtBoreas).forge(forged),
      await one.rpc.forgeOperations(forged));
  });
  for (const [name, baker, forger] of [
    ["remote forger", names[2], (own) => new kit.RpcForger(own._context)],
    ["composite forger", names[3], (own) =>
      new kit.CompositeForger([new kit.RpcForger(own._context), new kit.TaquitoLocalForger(own._context)])],
  ]) {
    await step(name, async () => {
      const own = toolkit(signers[2]);
      own.setForgerProvider(forger(own));
      await applied(await own.contract.transfer({ to: names[1], amount: 0.01 }));
      await applied(await own.contract.stake({ amount: 1 }));
      const other = toolkit(ed.signer);
      other.setForgerProvider(forger(other));
      await applied(await other.contract.setDelegate({ source: ed.name, delegate: baker }));
    });
  }

  // Wallets and streams

  await step("wallet: transfer, stake, batch, receipts", async () => {
    const sent = await two.wallet.transfer({ to: names[0], amount: 1 }).send();
    const confirmed = await sent.confirmation(2);
    assert.ok(confirmed.completed);
    assert.strictEqual(await sent.status(), "applied");
    assert.ok(await sent.isInCurrentBranch());
    assert.ok((await sent.receipt()).totalGas.toNumber() > 0);
    await (await two.wallet.stake({ amount: 1 }).send()).confirmation();
    await (await two.wallet.unstake({ amount: 1 }).send()).confirmation();
    await (await two.wallet.finalizeUnstake({}).send()).confirmation();
    const batch = two.wallet.batch().withTransfer({ to: names[0], amount: 0.1 });
    await (await batch.withTransfer({ to: names[2], amount: 0.1 }).send()).confirmation();
    await two.wallet.signFailingNoop({ arbitrary: "00", basedOnBlock: "head" });
  });
  await step("streams of heads, blocks and operations", async () => {
    const seen = { head: 0, block: 0, operation: 0 };
    const heads = three.stream.subscribe("head");
    const blocks = three.stream.subscribeBlock("head");
    const operations = three.stream.subscribeOperation({
      and: [{ source: names[2] }, { kind: "transaction" }, { destination: names[0] }],
    });
    for (const [name, stream] of [["head", heads], ["block", blocks], ["operation", operations]]) {
      stream.on("data", () => { seen[name] += 1; });
      stream.on("error", (error) => { throw error; });
    }
    await applied(await three.contract.transfer({ to: names[0], amount: 0.5 }));
    await until(async () => seen.head > 1 && seen.block > 1 && seen.operation === 1, 30);
    for (const stream of [heads, blocks, operations]) stream.close();
  });
  await step("confirmations of one and three blocks", async () => {
    const operation = await three.contract.transfer({ to: names[0], amount: 0.5 });
    await operation.confirmation(1);
    await operation.confirmation(3);
  });
  await step("two toolkits, one after another, of one account", async () => {
    const operation = await toolkit(signers[3]).contract.transfer({ to: names[0], amount: 0.5 });
    await assert.rejects(
      async () => toolkit(signers[3]).contract.transfer({ to: names[0], amount: 0.6 }),
      (error) => /one operation per manager|1M|counter_in_the_past|conflict/.test(JSON.stringify(error) + error.message),
    );
    await applied(operation);
  });

  // Votes

  const period = async (kind) => until(async () => {
    const current = await one.rpc.getCurrentPeriod();
    return current.voting_period.kind === kind && current.remaining > 6 ? current : undefined;
  }, 240);

  await step("proposals", async () => {
    await period("proposal");
    for (const own of kits.slice(0, 3)) {
      await applied(await own.contract.proposals({ proposals: [DEMO] }), "unknown");
    }
    const [[hash, power]] = await one.rpc.getProposals();
    assert.strictEqual(hash, DEMO);
    assert.ok(power.toNumber() > 0);
    assert.ok((await one.rpc.getVotingInfo(names[0])).remaining_proposals < 20);
  });
  await refused("a proposal twice", ["already_proposed", "proposal"], () =>
    one.contract.proposals({ proposals: [DEMO] }),
  );
  await refused("a ballot too early", ["unexpected", "period"], () =>
    one.contract.ballot({ proposal: DEMO, ballot: "yay" }),
  );
  await step("ballots", async () => {
    await period("exploration");
    for (const [index, ballot] of ["yay", "nay", "pass"].entries()) {
      await applied(await kits[index].contract.ballot({ proposal: DEMO, ballot }), "unknown");
    }
    const ballots = await one.rpc.getBallots();
    assert.ok(ballots.yay.toNumber() > 0 && ballots.nay.toNumber() > 0 && ballots.pass.toNumber() > 0);
    assert.strictEqual((await one.rpc.getBallotList()).length, 3);
    assert.strictEqual(await one.rpc.getCurrentProposal(), DEMO);
    assert.ok((await one.rpc.getCurrentQuorum()) > 0);
  });
  await refused("a ballot twice", ["already_submitted_a_ballot", "ballot"], () =>
    one.contract.ballot({ proposal: DEMO, ballot: "yay" }),
  );
  await step("an unstake comes back", async () => {
    await until(async () => (await one.rpc.getUnstakedFinalizableBalance(names[0])).toNumber() > 0);
    await applied(await one.contract.finalizeUnstake({}));
    assert.strictEqual((await one.rpc.getUnstakedFinalizableBalance(names[0])).toNumber(), 0);
  });

  await step("a delegate is drained by its consensus key", async () => {
    const [owner, consensus] = [await fresh("ed"), await fresh("sp")];
    const [name, key] = [await owner.publicKeyHash(), await consensus.publicKeyHash()];
    const [ownKit, keyKit] = [toolkit(owner), toolkit(consensus)];
    await applied(await two.contract.transfer({ to: name, amount: 20 }));
    await applied(await ownKit.contract.registerDelegate({}));
    await applied(await ownKit.contract.updateConsensusKey({ pk: await consensus.publicKey() }));
    const active = async () => (await ownKit.rpc.getDelegates(name)).active_consensus_key === key;
    await until(active);
    const drained = { consensus_key: key, delegate: name, destination: key };
    await applied(await keyKit.contract.drainDelegate(drained), "unknown");
    assert.strictEqual((await two.mv.getBalance(name)).toNumber(), 0);
    assert.ok((await two.mv.getBalance(key)).toNumber() > 19000000);
  });

  // What needs contracts, or rollups: refused, as documented

  await refused("origination", ["contract", "Michelson", "origination"], () =>
    one.contract.originate({ code: "parameter unit; storage unit; code { CDR; NIL operation; PAIR }", init: "Unit" }),
  );

  process.exitCode = kit.summary();
}

main();
