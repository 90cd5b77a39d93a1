// A peer of js-libp2p for tests: told by lines on its input what to do, it says on its output, a line each, what
// came of it. The same words as go/main.go.
import readline from 'node:readline'

Promise.withResolvers ??= () => { // of Node 22
  const made = {}
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}

const { createLibp2p } = await import('libp2p')
const { tcp } = await import('@libp2p/tcp')
const { noise } = await import('@chainsafe/libp2p-noise')
const { yamux } = await import('@chainsafe/libp2p-yamux')
const { identify } = await import('@libp2p/identify')
const { ping } = await import('@libp2p/ping')
const { circuitRelayServer, circuitRelayTransport } = await import('@libp2p/circuit-relay-v2')
const { privateKeyFromRaw } = await import('@libp2p/crypto/keys')
const { peerIdFromString } = await import('@libp2p/peer-id')
const { multiaddr } = await import('@multiformats/multiaddr')
const lp = await import('it-length-prefixed')

const MOST_BYTES = 128 << 20
const [key, role] = process.argv.slice(1)
const services = { identify: identify(), ping: ping() }
if (role === 'relay') services.relay = circuitRelayServer()
const listen = role === 'relayed' ? [] : ['/ip4/127.0.0.1/tcp/0']
const node = await createLibp2p({
  privateKey: privateKeyFromRaw(Buffer.from(key, 'hex')),
  addresses: { listen },
  transports: [tcp(), circuitRelayTransport()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionGater: { denyDialMultiaddr: () => false },
  services
})
const limited = { runOnLimitedConnection: true }

await node.handle('/echo/1.0.0', async ({ stream }) => {
  for await (const message of lp.decode(stream.source, { maxDataLength: MOST_BYTES })) {
    await stream.sink(lp.encode([message]))
    return
  }
}, { ...limited, maxInboundStreams: 256 })
await node.handle('/raw/1.0.0', async ({ stream }) => await stream.sink(stream.source), limited)

const peer = (text) => peerIdFromString(text)
const commands = {
  connect: async (address) => {
    await node.dial(multiaddr(address))
    return 'ok'
  },
  reserve: async (address) => { // at a relay's address
    await node.components.transportManager.listen([multiaddr(`${address}/p2p-circuit`)])
    return 'ok'
  },
  forget: async (id) => {
    await node.hangUp(peer(id))
    return 'ok'
  },
  ping: async (id) => {
    await node.services.ping.ping(peer(id), limited)
    return 'ok'
  },
  known: async (id) => {
    const found = await node.peerStore.get(peer(id))
    const agent = Buffer.from(found.metadata.get('AgentVersion') ?? []).toString()
    return `ok ${agent} ${found.addresses.length} ${found.protocols}`
  },
  request: async (id, protocol, message) => {
    const stream = await node.dialProtocol(peer(id), protocol, limited)
    await stream.sink(lp.encode([Buffer.from(message.replace('-', ''), 'hex')]))
    for await (const answer of lp.decode(stream.source, { maxDataLength: MOST_BYTES })) {
      await stream.close()
      return `ok ${Buffer.from(answer.subarray()).toString('hex')}`
    }
    throw new Error('no answer')
  }
}

const address = node.getMultiaddrs()[0]
console.log('ready', node.peerId.toString(), address ? address.decapsulate('/p2p').toString() : '-')
for await (const line of readline.createInterface({ input: process.stdin })) {
  const [what, ...words] = line.split(' ')
  try {
    console.log(await commands[what](...words))
  } catch (error) {
    console.log(`error ${error.name} ${error.message}`.replaceAll('\n', ' '))
  }
}
process.exit(0)
