// Verifies signature sets from bytes, all checks on, once for each line "run"; the first line has the sets.
const { PublicKey, Signature, verifyMultipleAggregateSignatures } = require(process.argv[2]);

let sets = null;

function verify() {
  return verifyMultipleAggregateSignatures(
    sets.map(({ pk, msg, sig }) => ({
      pk: PublicKey.fromBytes(pk, true),
      msg,
      sig: Signature.fromBytes(sig, true, true),
    })),
  );
}

require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const question = JSON.parse(line);
  if (question === "run") {
    const before = process.cpuUsage();
    const ok = verify();
    const { user, system } = process.cpuUsage(before);
    console.log(JSON.stringify({ ok, cpu_microseconds: user + system }));
    return;
  }
  const [keys, messages, signatures] = question.map((rows) => rows.map((row) => Buffer.from(row, "hex")));
  sets = keys.map((pk, i) => ({ pk, msg: messages[i], sig: signatures[i] }));
  console.log(JSON.stringify({ sets: sets.length }));
});
