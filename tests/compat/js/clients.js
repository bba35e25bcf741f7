// kafkajs against one node: `node clients.js HOST:PORT STEP`. Exit code 0 when the step went as with Apache Kafka.

const assert = require('node:assert/strict')
const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, PartitionAssigners, logLevel } = require('kafkajs')

const [bootstrap, step] = process.argv.slice(2)
// Patience for a machine that runs a dozen programs at once: by default a connection must be there within a second.
const patience = { connectionTimeout: 20_000, retry: { initialRetryTime: 50, retries: 8 } }
const kafka = new Kafka({ clientId: 'kafkajs', brokers: [bootstrap], logLevel: logLevel.NOTHING, ...patience })

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')

const lz4 = require('lz4js')
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => Buffer.from(lz4.compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(lz4.decompress(buffer)),
})

const zstd = new Promise(resolve => require('zstd-codec').ZstdCodec.run(module => resolve(new module.Simple())))
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async buffer => Buffer.from((await zstd).decompress(buffer)),
})

const numbers = (from, count) => Array.from({ length: count }, (_, index) => String(from + index))

async function withAdmin(work) {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

async function produce(topic, messages, options = {}, settings = {}) {
  const producer = kafka.producer(settings)
  await producer.connect()
  const answer = await producer.send({ topic, messages, ...options })
  await producer.disconnect()
  return answer
}

// A group of one that reads until it has so many; what it read, in order.
async function consume(groupId, topic, count, settings = {}) {
  const consumer = kafka.consumer({ groupId, heartbeatInterval: 300, maxWaitTimeInMs: 100, ...settings })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const messages = []
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, event => reject(event.payload.error))
    consumer.run({
      eachMessage: async ({ message, partition }) => {
        messages.push({ ...message, partition })
        if (messages.length === count) resolve()
      },
    }).catch(reject)
  })
  await consumer.disconnect()
  return messages
}

const create = (topic, numPartitions = 1) => withAdmin(admin => admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: true }))

async function refused(work, type) {
  await assert.rejects(work, error => {
    const types = [error, error.cause, ...(error.errors || []), ...(error.groups || []).map(group => group.error)].filter(Boolean).map(one => one.type || one.message)
    assert.ok(types.some(found => found && found.includes(type)), `${types} is not ${type}: ${error}`)
    return true
  })
}

const steps = {
  // Every codec that kafkajs can be given, with keys, headers and timestamps.
  async codecs() {
    for (const [name, compression] of Object.entries(CompressionTypes)) {
      const topic = `js-${name.toLowerCase()}`
      await create(topic)
      const messages = numbers(0, 300).map(value => ({ key: `k${value}`, value: value.repeat(20), headers: { h: value }, timestamp: '1700000000000' }))
      const [answer] = await produce(topic, messages, { compression, acks: -1 })
      assert.deepEqual([answer.errorCode, answer.baseOffset], [0, '0'])
      const got = await consume(`js-${name}`, topic, 300)
      assert.deepEqual(got.map(one => one.value.toString()), messages.map(one => one.value), name)
      assert.equal(got[7].key.toString(), 'k7')
      assert.equal(got[7].headers.h.toString(), '7')
      assert.equal(got[7].timestamp, '1700000000000')
    }
  },

  // Each kind of acknowledgement, idempotence, and several topics in one request.
  async producers() {
    await create('js-acks')
    for (const acks of [0, 1, -1]) await produce('js-acks', numbers(0, 10).map(value => ({ value })), { acks })
    assert.equal((await consume('js-acks', 'js-acks', 30)).length, 30)
    await create('js-idempotent')
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    for (let turn = 0; turn < 5; turn++) {
      await producer.sendBatch({ topicMessages: ['js-acks', 'js-idempotent'].map(topic => ({ topic, messages: numbers(turn * 10, 10).map(value => ({ value })) })) })
    }
    await producer.disconnect()
    const got = await consume('js-idempotent', 'js-idempotent', 50)
    assert.deepEqual(got.map(one => one.value.toString()), numbers(0, 50))
    await refused(() => produce('js-acks', [{ value: Buffer.alloc(1_100_000) }], {}, { retry: { retries: 0 } }), 'MESSAGE_TOO_LARGE')
  },

  // Two members share, one leaves, the other takes over behind what was committed.
  async groups() {
    await create('js-groups', 4)
    const shares = new Map()
    const seen = []
    const members = [0, 1].map(() => kafka.consumer({ groupId: 'js-groups', heartbeatInterval: 200, maxWaitTimeInMs: 100, sessionTimeout: 20_000, partitionAssigners: [PartitionAssigners.roundRobin] }))
    const until = async (question, what) => {
      for (let turn = 0; !question(); turn++) {
        assert.ok(turn < 1200, `never: ${what}; ${JSON.stringify([...shares.values()])}, ${seen.length}`)
        await new Promise(resolve => setTimeout(resolve, 50))
      }
    }
    for (const member of members) {
      member.on(member.events.GROUP_JOIN, event => shares.set(member, event.payload.memberAssignment['js-groups'] || []))
      await member.connect()
      await member.subscribe({ topic: 'js-groups', fromBeginning: true })
      await member.run({ eachMessage: async ({ message }) => { seen.push(message.value.toString()) } })
    }
    await until(() => [...shares.values()].map(share => share.length).join() === '2,2', 'two and two')
    await produce('js-groups', numbers(0, 40).map((value, index) => ({ value, partition: index % 4 })))
    await until(() => new Set(seen).size === 40, 'forty messages')
    await members[0].disconnect()
    shares.delete(members[0])
    await until(() => [...shares.values()].map(share => share.length).join() === '4', 'all four')
    await produce('js-groups', numbers(40, 8).map((value, index) => ({ value, partition: index % 4 })))
    await until(() => new Set(seen).size === 48, 'eight more')
    await withAdmin(async admin => {
      const { groups: [group] } = await admin.describeGroups(['js-groups'])
      assert.deepEqual([group.state, group.members.length, group.protocol], ['Stable', 1, 'RoundRobinAssigner'])
      await refused(() => admin.deleteGroups(['js-groups']), 'NON_EMPTY_GROUP')
    })
    await members[1].disconnect()
    assert.deepEqual([...new Set(seen)].length, 48)
    await withAdmin(async admin => {
      const [{ partitions }] = await admin.fetchOffsets({ groupId: 'js-groups', topics: ['js-groups'] })
      assert.deepEqual(partitions.map(one => one.offset), ['12', '12', '12', '12'])
      await admin.setOffsets({ groupId: 'js-groups', topic: 'js-groups', partitions: [{ partition: 0, offset: '5' }] })
      const [after] = await admin.fetchOffsets({ groupId: 'js-groups', topics: ['js-groups'] })
      assert.equal(after.partitions.find(one => one.partition === 0).offset, '5')
      await admin.resetOffsets({ groupId: 'js-groups', topic: 'js-groups', earliest: true })
      assert.ok((await admin.listGroups()).groups.some(group => group.groupId === 'js-groups'))
      await admin.deleteGroups(['js-groups'])
      assert.ok(!(await admin.listGroups()).groups.some(group => group.groupId === 'js-groups'))
    })
  },

  // Topics, partitions, offsets, configurations.
  async topics() {
    await withAdmin(async admin => {
      const configEntries = [{ name: 'retention.ms', value: '3600000' }]
      assert.equal(await admin.createTopics({ topics: [{ topic: 'js-admin', numPartitions: 2, configEntries }] }), true)
      assert.equal(await admin.createTopics({ topics: [{ topic: 'js-admin' }] }), false)
      await refused(() => admin.createTopics({ topics: [{ topic: 'js-many', replicationFactor: 3 }] }), 'INVALID_REPLICATION_FACTOR')
      assert.ok((await admin.listTopics()).includes('js-admin'))
      await admin.createPartitions({ topicPartitions: [{ topic: 'js-admin', count: 3 }] })
      const { topics: [metadata] } = await admin.fetchTopicMetadata({ topics: ['js-admin'] })
      assert.deepEqual(metadata.partitions.map(one => [one.partitionId, one.leader, one.isr]).sort(), [[0, 1, [1]], [1, 1, [1]], [2, 1, [1]]])
      await produce('js-admin', numbers(0, 10).map((value, index) => ({ value, partition: 0, timestamp: String(1_700_000_000_000 + index) })))
      assert.equal((await admin.fetchTopicOffsets('js-admin')).find(one => one.partition === 0).high, '10')
      const byTime = await admin.fetchTopicOffsetsByTimestamp('js-admin', 1_700_000_000_004)
      assert.equal(byTime.find(one => one.partition === 0).offset, '4')
      const cluster = await admin.describeCluster()
      assert.deepEqual([cluster.controller, cluster.brokers.length], [1, 1])
      const resource = { type: ConfigResourceTypes.TOPIC, name: 'js-admin' }
      const { resources: [described] } = await admin.describeConfigs({ resources: [resource] })
      assert.equal(described.configEntries.find(one => one.configName === 'retention.ms').configValue, '3600000')
      await admin.alterConfigs({ resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '7200000' }] }] })
      const { resources: [altered] } = await admin.describeConfigs({ resources: [resource] })
      assert.equal(altered.configEntries.find(one => one.configName === 'retention.ms').configValue, '7200000')
      await admin.deleteTopicRecords({ topic: 'js-admin', partitions: [{ partition: 0, offset: '4' }] })
      assert.equal((await admin.fetchTopicOffsets('js-admin')).find(one => one.partition === 0).low, '4')
      assert.deepEqual((await admin.listPartitionReassignments({ topics: [{ topic: 'js-admin', partitions: [0, 1, 2] }] })).topics, [])
      await admin.alterPartitionReassignments({ topics: [{ topic: 'js-admin', partitionAssignment: [{ partition: 0, replicas: [1] }] }] })
      const everything = { resourceType: 1, resourcePatternType: 1, operation: 1, permissionType: 1 }
      await refused(() => admin.describeAcls(everything), 'SECURITY_DISABLED')
      await admin.deleteTopics({ topics: ['js-admin'] })
      assert.ok(!(await admin.listTopics()).includes('js-admin'))
    })
  },
}

steps[step]().then(() => process.exit(0), error => {
  console.error(error)
  process.exit(1)
})
