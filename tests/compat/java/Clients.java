import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Kafka's Java client 4 against one node: `Clients HOST:PORT STEP`. Ends with an exception where Kafka would not. */
public final class Clients {
    private final String bootstrap;

    private Clients(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    public static void main(String[] arguments) throws Exception {
        Clients clients = new Clients(arguments[0]);
        switch (arguments[1]) {
            case "producers" -> clients.producers();
            case "classic" -> clients.groups("classic");
            case "consumer" -> clients.groups("consumer");
            case "migration" -> clients.migration();
            case "patterns" -> clients.patterns();
            case "admin" -> clients.admin();
            default -> throw new IllegalArgumentException(arguments[1]);
        }
    }

    private static void check(boolean holds, Object found) {
        if (!holds) {
            throw new AssertionError("not " + found);
        }
    }

    private Properties properties(String... pairs) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        for (int at = 0; at < pairs.length; at += 2) {
            properties.put(pairs[at], pairs[at + 1]);
        }
        return properties;
    }

    private Producer<String, String> producer(String... pairs) {
        return new KafkaProducer<>(properties(pairs), new StringSerializer(), new StringSerializer());
    }

    private Consumer<String, String> consumer(String... pairs) {
        Properties properties = properties(pairs);
        properties.put("auto.offset.reset", "earliest");
        return new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
    }

    private Admin adminClient() {
        return Admin.create(properties());
    }

    private void create(String topic, int partitions) throws Exception {
        try (Admin admin = adminClient()) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
        }
    }

    private void produce(String topic, int partitions, int first, int count, String... pairs) throws Exception {
        try (Producer<String, String> producer = producer(pairs)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int number = first; number < first + count; number++) {
                ProducerRecord<String, String> record =
                    new ProducerRecord<>(topic, number % partitions, "k" + number, ("v" + number).repeat(10));
                record.headers().add("number", String.valueOf(number).getBytes(StandardCharsets.UTF_8));
                sent.add(producer.send(record));
            }
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
        }
    }

    private static List<ConsumerRecord<String, String>> read(Consumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> got = new ArrayList<>();
        long deadline = System.currentTimeMillis() + 20_000;
        while (got.size() < count && System.currentTimeMillis() < deadline) {
            consumer.poll(Duration.ofMillis(100)).forEach(got::add);
        }
        check(got.size() == count, got.size() + " of " + count);
        return got;
    }

    /** The idempotent producer with every codec, several batches in flight; and without idempotence. */
    private void producers() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            String topic = "java-" + codec;
            create(topic, 1);
            produce(topic, 1, 0, 1000, "compression.type", codec, "batch.size", "2000", "linger.ms", "1");
            produce(topic, 1, 1000, 10, "compression.type", codec, "enable.idempotence", "false", "acks", "1");
            produce(topic, 1, 1010, 10, "compression.type", codec, "enable.idempotence", "false", "acks", "0");
            try (Consumer<String, String> consumer = consumer()) {
                consumer.assign(List.of(new TopicPartition(topic, 0)));
                List<ConsumerRecord<String, String>> got = read(consumer, 1020);
                for (int number = 0; number < 1020; number++) {
                    ConsumerRecord<String, String> record = got.get(number);
                    check(record.offset() == number && record.key().equals("k" + number), record);
                    check(record.value().equals(("v" + number).repeat(10)), record);
                    check(new String(record.headers().lastHeader("number").value()).equals("" + number), record);
                }
            }
        }
        try (Producer<String, String> producer = producer("max.request.size", "5000000", "compression.type", "none")) {
            expect(RecordTooLargeException.class, producer.send(new ProducerRecord<>("java-none", "x".repeat(2_000_000))));
        }
    }

    private static void expect(Class<?> error, Future<?> future) throws Exception {
        try {
            future.get();
        } catch (ExecutionException e) {
            check(error.isInstance(e.getCause()), e.getCause());
            return;
        }
        throw new AssertionError("no " + error);
    }

    private Consumer<String, String> member(String protocol, String group, String topic) {
        Consumer<String, String> member = protocol.equals("classic")
            ? consumer("group.id", group, "enable.auto.commit", "false", "heartbeat.interval.ms", "200")
            : consumer("group.id", group, "enable.auto.commit", "false", "group.protocol", "consumer");
        if (topic != null) {
            member.subscribe(List.of(topic));
        }
        return member;
    }

    /** Polls until the members' partitions are so many each, all different. */
    private static void share(List<Consumer<String, String>> members, int... wanted) {
        List<Set<TopicPartition>> shares = new ArrayList<>();
        long deadline = System.currentTimeMillis() + 30_000;
        while (System.currentTimeMillis() < deadline) {
            shares.clear();
            Set<TopicPartition> all = new HashSet<>();
            boolean same = true;
            for (int index = 0; index < wanted.length; index++) {
                members.get(index).poll(Duration.ofMillis(20));
                shares.add(Set.copyOf(members.get(index).assignment()));
                all.addAll(shares.get(index));
                same &= shares.get(index).size() == wanted[index];
            }
            if (same && all.size() == java.util.Arrays.stream(wanted).sum()) {
                return;
            }
        }
        throw new AssertionError(shares + " are not " + java.util.Arrays.toString(wanted));
    }

    /** Two share, one leaves, the other goes on behind what was committed; the group is described, listed, deleted. */
    private void groups(String protocol) throws Exception {
        String name = "java-" + protocol;
        create(name, 4);
        Consumer<String, String> one = member(protocol, name, name);
        share(List.of(one), 4);
        Consumer<String, String> two = member(protocol, name, name);
        share(List.of(one, two), 2, 2);
        try (Admin admin = adminClient()) {
            ConsumerGroupDescription described = admin.describeConsumerGroups(List.of(name)).describedGroups().get(name).get();
            check(described.members().size() == 2 && described.groupState() == GroupState.STABLE, described);
            check(described.type().toString().equalsIgnoreCase(protocol), described);
        }
        two.close();
        share(List.of(one), 4);
        produce(name, 4, 0, 40);
        read(one, 40);
        one.commitSync();
        one.close();
        produce(name, 4, 40, 4);
        Consumer<String, String> again = member(protocol, name, name);
        read(again, 4).forEach(record -> check(record.offset() == 10, record));
        again.close();
        try (Admin admin = adminClient()) {
            Map<TopicPartition, OffsetAndMetadata> offsets =
                admin.listConsumerGroupOffsets(name).partitionsToOffsetAndMetadata().get();
            check(offsets.size() == 4 && offsets.values().stream().allMatch(offset -> offset.offset() == 10), offsets);
            Map<TopicPartition, OffsetAndMetadata> moved = Map.of(new TopicPartition(name, 0), new OffsetAndMetadata(3));
            admin.alterConsumerGroupOffsets(name, moved).all().get();
            admin.deleteConsumerGroupOffsets(name, Set.of(new TopicPartition(name, 1))).all().get();
            offsets = admin.listConsumerGroupOffsets(name).partitionsToOffsetAndMetadata().get();
            check(offsets.get(new TopicPartition(name, 0)).offset() == 3 && offsets.get(new TopicPartition(name, 1)) == null, offsets);
            check(admin.listGroups().all().get().stream().anyMatch(group -> group.groupId().equals(name)), "listed");
            admin.deleteConsumerGroups(List.of(name)).all().get();
            check(admin.listGroups().all().get().stream().noneMatch(group -> group.groupId().equals(name)), "deleted");
        }
    }

    /** A classic group takes a member of the new protocol in, and is again classic when that one leaves. */
    private void migration() throws Exception {
        create("java-migration", 4);
        Consumer<String, String> classic = member("classic", "java-migration", "java-migration");
        share(List.of(classic), 4);
        Consumer<String, String> consumer = member("consumer", "java-migration", "java-migration");
        share(List.of(classic, consumer), 2, 2);
        produce("java-migration", 4, 0, 20);
        List<ConsumerRecord<String, String>> got = new ArrayList<>();
        long deadline = System.currentTimeMillis() + 20_000;
        while (got.size() < 20 && System.currentTimeMillis() < deadline) {
            classic.poll(Duration.ofMillis(50)).forEach(got::add);
            consumer.poll(Duration.ofMillis(50)).forEach(got::add);
        }
        check(got.size() == 20, got.size());
        classic.commitSync();
        consumer.commitSync();
        consumer.close();
        share(List.of(classic), 4);
        classic.close();
    }

    /** A subscription by a pattern that the broker looks at sees topics that come later. */
    private void patterns() throws Exception {
        create("java-pattern-1", 1);
        Consumer<String, String> member = member("consumer", "java-pattern", null);
        member.subscribe(new SubscriptionPattern("java-pattern-[0-9]+"));
        share(List.of(member), 1);
        create("java-pattern-2", 2);
        share(List.of(member), 3);
        member.close();
    }

    /** The admin client: what it can ask of topics, configurations, records, offsets, the cluster. */
    private void admin() throws Exception {
        try (Admin admin = adminClient()) {
            NewTopic wanted = new NewTopic("java-admin", Optional.of(2), Optional.empty()).configs(Map.of("retention.ms", "3600000"));
            Config first = admin.createTopics(List.of(wanted)).config("java-admin").get();
            check(first.get("retention.ms").value().equals("3600000"), first);
            expect(TopicExistsException.class, admin.createTopics(List.of(wanted)).all());
            check(admin.listTopics().names().get().contains("java-admin"), "listed");
            admin.createPartitions(Map.of("java-admin", NewPartitions.increaseTo(3))).all().get();
            TopicDescription topic = admin.describeTopics(List.of("java-admin")).allTopicNames().get().get("java-admin");
            check(topic.partitions().size() == 3 && topic.partitions().get(2).isr().size() == 1, topic);
            check(admin.describeTopics(org.apache.kafka.common.TopicCollection.ofTopicIds(Set.of(topic.topicId())))
                .allTopicIds().get().get(topic.topicId()).name().equals("java-admin"), "by id");
            expect(UnknownTopicOrPartitionException.class, admin.describeTopics(List.of("nowhere")).allTopicNames());

            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, "java-admin");
            AlterConfigOp shorter = new AlterConfigOp(new ConfigEntry("retention.ms", "7200000"), AlterConfigOp.OpType.SET);
            AlterConfigOp both = new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.APPEND);
            Map<ConfigResource, Collection<AlterConfigOp>> changes = Map.of(resource, List.of(shorter, both));
            admin.incrementalAlterConfigs(changes).all().get();
            Config after = admin.describeConfigs(List.of(resource)).all().get().get(resource);
            check(after.get("retention.ms").value().equals("7200000"), after);
            check(after.get("cleanup.policy").value().equals("delete,compact"), after.get("cleanup.policy"));
            check(after.get("retention.ms").source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, after);
            ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
            check(admin.describeConfigs(List.of(broker)).all().get().get(broker).entries().size() > 20, "a broker's");
            check(admin.listConfigResources(Set.of(ConfigResource.Type.TOPIC), new org.apache.kafka.clients.admin.ListConfigResourcesOptions())
                .all().get().contains(resource), "a resource with a configuration");

            TopicPartition zero = new TopicPartition("java-admin", 0);
            produce("java-admin", 1, 0, 20);
            check(offset(admin, zero, OffsetSpec.latest()) == 20, "end");
            check(offset(admin, zero, OffsetSpec.earliest()) == 0, "start");
            check(offset(admin, zero, OffsetSpec.maxTimestamp()) >= 0, "greatest time");
            check(offset(admin, zero, OffsetSpec.forTimestamp(System.currentTimeMillis() + 3_600_000)) == -1, "no such time");
            check(admin.deleteRecords(Map.of(zero, RecordsToDelete.beforeOffset(5))).lowWatermarks().get(zero).get().lowWatermark() == 5, "5");
            check(offset(admin, zero, OffsetSpec.earliest()) == 5, "start after the deletion");

            check(admin.describeCluster().nodes().get().size() == 1, "one node");
            check(admin.describeCluster().clusterId().get().length() == 22, "an id of the cluster");
            check(admin.describeLogDirs(List.of(1)).allDescriptions().get().get(1).size() == 1, "one directory");
            check(admin.describeMetadataQuorum().quorumInfo().get().leaderId() == 1, "a leader of the quorum");
            check(admin.describeFeatures().featureMetadata().get() != null, "features");
            check(admin.listTransactions().all().get().isEmpty(), "no transactions");
            check(admin.describeProducers(List.of(zero)).all().get().get(zero).activeProducers().size() == 1, "one producer");
            check(admin.listPartitionReassignments().reassignments().get().isEmpty(), "nothing under way");
            admin.electLeaders(org.apache.kafka.common.ElectionType.PREFERRED, null).partitions().get();
            admin.describeUserScramCredentials().all().get();
            admin.describeClientQuotas(org.apache.kafka.common.quota.ClientQuotaFilter.all()).entities().get();
            expect(SecurityDisabledException.class, admin.describeAcls(AclBindingFilter.ANY).values());

            admin.deleteTopics(List.of("java-admin")).all().get();
            check(!admin.listTopics().names().get().contains("java-admin"), "deleted");
            expect(UnknownTopicOrPartitionException.class, admin.deleteTopics(List.of("java-admin")).all());
        }
    }

    private static long offset(Admin admin, TopicPartition partition, OffsetSpec spec) throws Exception {
        return admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get().offset();
    }
}
