import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.Socket;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.atomic.PromotedToLock;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.NodeCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.queue.DistributedDelayQueue;
import org.apache.curator.framework.recipes.queue.DistributedPriorityQueue;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/**
 * Curator's recipes against one server. Each method whose name begins with "recipe" is one; the arguments are the
 * address and, optionally, the only ones to run. Prints one line each: "ok NAME" or "FAILED NAME" and a stack.
 */
public final class Recipes {
    private static final int PATIENCE_MS = 15_000;

    private final String address;
    private final List<CuratorFramework> clients = new ArrayList<>();

    private Recipes(String address) {
        this.address = address;
    }

    public static void main(String[] arguments) throws Exception {
        Method[] methods = Recipes.class.getDeclaredMethods();
        Arrays.sort(methods, Comparator.comparing(Method::getName));
        boolean all = arguments.length == 1;
        for (Method method : methods) {
            String name = method.getName();
            if (name.startsWith("recipe") && (all || Arrays.asList(arguments).contains(name))) {
                Recipes recipes = new Recipes(arguments[0]);
                try {
                    method.invoke(recipes);
                    System.out.println("ok " + name);
                } catch (InvocationTargetException e) {
                    StringWriter stack = new StringWriter();
                    e.getCause().printStackTrace(new PrintWriter(stack));
                    System.out.println("FAILED " + name + "\n" + stack);
                } finally {
                    recipes.clients.forEach(CuratorFramework::close);
                }
            }
        }
        System.out.println("end");
        Runtime.getRuntime().halt(0);
    }

    private CuratorFramework client() throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.builder()
                .connectString(address)
                .sessionTimeoutMs(10_000)
                .connectionTimeoutMs(10_000)
                .retryPolicy(new RetryNTimes(3, 200))
                .build();
        client.start();
        check(client.blockUntilConnected(20, TimeUnit.SECONDS), "no connection");
        clients.add(client);
        return client;
    }

    private static void check(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }

    private static void equal(Object found, Object wanted) {
        check(wanted.equals(found), found + " instead of " + wanted);
    }

    private static void eventually(Callable<Boolean> holds, String otherwise) throws Exception {
        long end = System.nanoTime() + PATIENCE_MS * 1_000_000L;
        while (!holds.call()) {
            check(System.nanoTime() < end, otherwise);
            Thread.sleep(10);
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes();
    }

    /** Runs all at once and returns when all have ended well. */
    private static void together(List<Callable<Void>> works) throws Exception {
        ExecutorService threads = Executors.newCachedThreadPool();
        try {
            List<Future<Void>> futures = new ArrayList<>();
            for (Callable<Void> work : works) {
                futures.add(threads.submit(work));
            }
            for (Future<Void> future : futures) {
                future.get(60, TimeUnit.SECONDS);
            }
        } finally {
            threads.shutdownNow();
        }
    }

    private void excludes(LockOf lockOf) throws Exception {
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger turns = new AtomicInteger();
        List<Callable<Void>> works = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            Lock lock = lockOf.make(client());
            works.add(() -> {
                for (int turn = 0; turn < 4; turn++) {
                    lock.acquire();
                    try {
                        check(inside.incrementAndGet() == 1, "two hold the lock");
                        Thread.sleep(5);
                        inside.decrementAndGet();
                        turns.incrementAndGet();
                    } finally {
                        lock.release();
                    }
                }
                return null;
            });
        }
        together(works);
        equal(turns.get(), 12);
    }

    private interface Lock {
        void acquire() throws Exception;

        void release() throws Exception;
    }

    private interface LockOf {
        Lock make(CuratorFramework client);
    }

    private static Lock lock(org.apache.curator.framework.recipes.locks.InterProcessLock lock) {
        return new Lock() {
            @Override
            public void acquire() throws Exception {
                check(lock.acquire(20, TimeUnit.SECONDS), "no lock in time");
            }

            @Override
            public void release() throws Exception {
                lock.release();
            }
        };
    }

    void recipeMutex() throws Exception {
        excludes(client -> lock(new InterProcessMutex(client, "/curator/mutex")));
        CuratorFramework one = client();
        InterProcessMutex held = new InterProcessMutex(one, "/curator/mutex");
        held.acquire();
        held.acquire();
        InterProcessMutex other = new InterProcessMutex(client(), "/curator/mutex");
        check(!other.acquire(200, TimeUnit.MILLISECONDS), "a held lock was given twice");
        held.release();
        held.release();
        check(other.acquire(10, TimeUnit.SECONDS), "a free lock is not given");
        other.release();
    }

    void recipeSemaphoreMutex() throws Exception {
        excludes(client -> lock(new InterProcessSemaphoreMutex(client, "/curator/semaphore-mutex")));
    }

    void recipeMultiLock() throws Exception {
        excludes(client -> lock(new InterProcessMultiLock(client, Arrays.asList("/curator/multi/a", "/curator/multi/b"))));
    }

    void recipeReadWriteLock() throws Exception {
        InterProcessReadWriteLock one = new InterProcessReadWriteLock(client(), "/curator/rw");
        InterProcessReadWriteLock two = new InterProcessReadWriteLock(client(), "/curator/rw");
        check(one.readLock().acquire(5, TimeUnit.SECONDS) && two.readLock().acquire(5, TimeUnit.SECONDS), "no shared read");
        InterProcessReadWriteLock three = new InterProcessReadWriteLock(client(), "/curator/rw");
        check(!three.writeLock().acquire(200, TimeUnit.MILLISECONDS), "write beside read");
        one.readLock().release();
        two.readLock().release();
        check(three.writeLock().acquire(5, TimeUnit.SECONDS), "no write lock");
        check(!one.readLock().acquire(200, TimeUnit.MILLISECONDS), "read beside write");
        three.writeLock().release();
    }

    void recipeSemaphore() throws Exception {
        InterProcessSemaphoreV2 one = new InterProcessSemaphoreV2(client(), "/curator/semaphore", 2);
        InterProcessSemaphoreV2 two = new InterProcessSemaphoreV2(client(), "/curator/semaphore", 2);
        Lease first = one.acquire(5, TimeUnit.SECONDS);
        Lease second = two.acquire(5, TimeUnit.SECONDS);
        check(first != null && second != null, "leases are missing");
        check(two.acquire(200, TimeUnit.MILLISECONDS) == null, "a lease too many");
        one.returnLease(first);
        Lease third = two.acquire(5, TimeUnit.SECONDS);
        check(third != null, "a returned lease is not given");
        two.returnLease(second);
        two.returnLease(third);
    }

    void recipeLeaderLatch() throws Exception {
        CuratorFramework oneClient = client();
        LeaderLatch one = new LeaderLatch(oneClient, "/curator/latch", "one");
        LeaderLatch two = new LeaderLatch(client(), "/curator/latch", "two");
        one.start();
        check(one.await(10, TimeUnit.SECONDS), "nobody leads");
        two.start();
        eventually(() -> two.getParticipants().size() == 2, "two do not take part");
        check(one.hasLeadership() && !two.hasLeadership(), "not exactly one leads");
        equal(two.getLeader().getId(), "one");
        oneClient.close();
        check(two.await(10, TimeUnit.SECONDS), "the next does not lead");
        two.close();
    }

    void recipeLeaderSelector() throws Exception {
        BlockingQueue<String> led = new LinkedBlockingQueue<>();
        CountDownLatch end = new CountDownLatch(1);
        List<LeaderSelector> selectors = new ArrayList<>();
        for (String name : List.of("one", "two")) {
            LeaderSelector selector = new LeaderSelector(client(), "/curator/selector", new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework client) throws Exception {
                    led.add(name);
                    if (led.size() == 1) {
                        end.await();
                    }
                }
            });
            selector.setId(name);
            selector.start();
            selectors.add(selector);
        }
        eventually(() -> led.size() == 1, "nobody leads");
        Thread.sleep(100);
        equal(led.size(), 1);
        end.countDown();
        eventually(() -> led.size() == 2, "the next does not lead");
        check(Set.copyOf(led).size() == 2, "one led twice: " + led);
        selectors.forEach(LeaderSelector::close);
    }

    void recipeBarrier() throws Exception {
        DistributedBarrier one = new DistributedBarrier(client(), "/curator/barrier");
        DistributedBarrier two = new DistributedBarrier(client(), "/curator/barrier");
        one.setBarrier();
        check(!two.waitOnBarrier(200, TimeUnit.MILLISECONDS), "the barrier does not hold");
        Thread remover = new Thread(() -> {
            try {
                Thread.sleep(200);
                one.removeBarrier();
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
        remover.start();
        check(two.waitOnBarrier(10, TimeUnit.SECONDS), "the barrier does not fall");
        remover.join();
    }

    void recipeDoubleBarrier() throws Exception {
        AtomicInteger entered = new AtomicInteger();
        List<Callable<Void>> works = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            DistributedDoubleBarrier barrier = new DistributedDoubleBarrier(client(), "/curator/double-barrier", 3);
            int pause = 50 * i;
            works.add(() -> {
                Thread.sleep(pause);
                entered.incrementAndGet();
                check(barrier.enter(20, TimeUnit.SECONDS), "does not enter");
                equal(entered.get(), 3);
                check(barrier.leave(20, TimeUnit.SECONDS), "does not leave");
                return null;
            });
        }
        together(works);
    }

    private static final QueueSerializer<String> TEXT = new QueueSerializer<String>() {
        @Override
        public byte[] serialize(String item) {
            return item.getBytes();
        }

        @Override
        public String deserialize(byte[] bytes) {
            return new String(bytes);
        }
    };

    private static final class Taken extends LinkedBlockingQueue<String> implements QueueConsumer<String> {
        @Override
        public void consumeMessage(String message) {
            add(message);
        }

        @Override
        public void stateChanged(CuratorFramework client, ConnectionState state) {}
    }

    void recipeQueues() throws Exception {
        Taken taken = new Taken();
        DistributedQueue<String> queue = QueueBuilder.builder(client(), taken, TEXT, "/curator/queue").lockPath("/curator/queue-locks").buildQueue();
        queue.start();
        for (int i = 0; i < 20; i++) {
            queue.put("m" + i);
        }
        for (int i = 0; i < 20; i++) {
            equal(taken.poll(10, TimeUnit.SECONDS), "m" + i);
        }
        queue.close();
        CuratorFramework producer = client();
        DistributedPriorityQueue<String> filled = QueueBuilder.<String>builder(producer, null, TEXT, "/curator/priority").buildPriorityQueue(0);
        filled.start();
        filled.put("late", 9);
        filled.put("early", 1);
        filled.flushPuts(10, TimeUnit.SECONDS);
        Taken sorted = new Taken();
        DistributedPriorityQueue<String> emptied = QueueBuilder.builder(client(), sorted, TEXT, "/curator/priority").buildPriorityQueue(0);
        emptied.start();
        equal(sorted.poll(10, TimeUnit.SECONDS), "early");
        equal(sorted.poll(10, TimeUnit.SECONDS), "late");
        emptied.close();
        filled.close();
        Taken delayed = new Taken();
        DistributedDelayQueue<String> delays = QueueBuilder.builder(client(), delayed, TEXT, "/curator/delay").buildDelayQueue();
        delays.start();
        long due = System.currentTimeMillis() + 500;
        delays.put("d", due);
        equal(delayed.poll(10, TimeUnit.SECONDS), "d");
        check(System.currentTimeMillis() >= due - 50, "too early");
        delays.close();
        SimpleDistributedQueue simple = new SimpleDistributedQueue(client(), "/curator/simple");
        check(simple.offer(bytes("1")) && simple.offer(bytes("2")), "not offered");
        equal(new String(simple.take()), "1");
        equal(new String(simple.poll(5, TimeUnit.SECONDS)), "2");
        check(simple.poll() == null, "not empty");
    }

    void recipeCounters() throws Exception {
        SharedCount one = new SharedCount(client(), "/curator/count", 7);
        SharedCount two = new SharedCount(client(), "/curator/count", 7);
        one.start();
        two.start();
        check(one.trySetCount(one.getVersionedValue(), 8), "not set");
        eventually(() -> two.getCount() == 8, "the other does not see the count");
        one.close();
        two.close();
        List<Callable<Void>> works = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            DistributedAtomicLong counter = new DistributedAtomicLong(client(), "/curator/atomic", new RetryNTimes(50, 5),
                    PromotedToLock.builder().lockPath("/curator/atomic-lock").retryPolicy(new RetryNTimes(50, 5)).timeout(20, TimeUnit.SECONDS).build());
            works.add(() -> {
                for (int turn = 0; turn < 10; turn++) {
                    AtomicValue<Long> value = counter.increment();
                    check(value.succeeded(), "an increment failed");
                }
                return null;
            });
        }
        together(works);
        equal(new DistributedAtomicLong(client(), "/curator/atomic", new RetryNTimes(1, 1)).get().postValue(), 30L);
    }

    void recipeCuratorCache() throws Exception {
        CuratorFramework writer = client();
        writer.create().creatingParentsIfNeeded().forPath("/curator/cached/a", bytes("1"));
        Map<String, String> seen = new ConcurrentHashMap<>();
        CountDownLatch initialized = new CountDownLatch(1);
        CuratorCache cache = CuratorCache.build(client(), "/curator/cached");
        cache.listenable().addListener(CuratorCacheListener.builder()
                .forCreates(node -> seen.put(node.getPath(), new String(node.getData())))
                .forChanges((before, after) -> seen.put(after.getPath(), new String(after.getData())))
                .forDeletes(node -> seen.remove(node.getPath()))
                .forInitialized(initialized::countDown)
                .build());
        cache.start();
        check(initialized.await(10, TimeUnit.SECONDS), "never initialized");
        equal(new String(cache.get("/curator/cached/a").get().getData()), "1");
        writer.setData().forPath("/curator/cached/a", bytes("2"));
        writer.create().creatingParentsIfNeeded().forPath("/curator/cached/b/c", bytes("3"));
        eventually(() -> "2".equals(seen.get("/curator/cached/a")) && "3".equals(seen.get("/curator/cached/b/c")), "changes are not seen");
        writer.delete().deletingChildrenIfNeeded().forPath("/curator/cached/b");
        eventually(() -> !seen.containsKey("/curator/cached/b/c") && !seen.containsKey("/curator/cached/b"), "deletions are not seen");
        cache.close();
    }

    @SuppressWarnings("deprecation")
    void recipeOlderCaches() throws Exception {
        CuratorFramework writer = client();
        writer.create().creatingParentsIfNeeded().forPath("/curator/older/a", bytes("1"));
        PathChildrenCache children = new PathChildrenCache(client(), "/curator/older", true);
        children.start(PathChildrenCache.StartMode.BUILD_INITIAL_CACHE);
        NodeCache node = new NodeCache(client(), "/curator/older/a");
        node.start(true);
        TreeCache tree = new TreeCache(client(), "/curator/older");
        tree.start();
        eventually(() -> tree.getCurrentData("/curator/older/a") != null, "the tree is not read");
        equal(children.getCurrentData().size(), 1);
        writer.setData().forPath("/curator/older/a", bytes("2"));
        writer.create().forPath("/curator/older/b", bytes("3"));
        eventually(() -> children.getCurrentData().size() == 2 && "2".equals(new String(node.getCurrentData().getData()))
                && tree.getCurrentChildren("/curator/older").size() == 2
                && "2".equals(new String(tree.getCurrentData("/curator/older/a").getData())), "changes are not seen");
        writer.delete().forPath("/curator/older/a");
        eventually(() -> children.getCurrentData().size() == 1 && node.getCurrentData() == null
                && tree.getCurrentChildren("/curator/older").size() == 1, "a deletion is not seen");
        children.close();
        node.close();
        tree.close();
    }

    void recipePersistentNodes() throws Exception {
        CuratorFramework watcher = client();
        PersistentNode node = new PersistentNode(client(), CreateMode.EPHEMERAL, false, "/curator/persistent/node", bytes("p"));
        node.start();
        check(node.waitForInitialCreate(10, TimeUnit.SECONDS), "never created");
        watcher.delete().forPath("/curator/persistent/node");
        eventually(() -> watcher.checkExists().forPath("/curator/persistent/node") != null, "it does not come back");
        node.close();
        eventually(() -> watcher.checkExists().forPath("/curator/persistent/node") == null, "it does not go");
        PersistentTtlNode ttl = new PersistentTtlNode(client(), "/curator/persistent/ttl", 2_000, bytes("t"));
        ttl.start();
        check(ttl.waitForInitialCreate(10, TimeUnit.SECONDS), "no TTL node");
        eventually(() -> watcher.checkExists().forPath("/curator/persistent/ttl/touch") != null, "it is not touched");
        ttl.close();
    }

    void recipeGroupMember() throws Exception {
        GroupMember one = new GroupMember(client(), "/curator/group", "one", bytes("1"));
        GroupMember two = new GroupMember(client(), "/curator/group", "two", bytes("2"));
        one.start();
        two.start();
        eventually(() -> one.getCurrentMembers().keySet().equals(Set.of("one", "two")), "members are missing");
        two.close();
        eventually(() -> one.getCurrentMembers().keySet().equals(Set.of("one")), "a member stays");
        one.close();
    }

    void recipeTransactions() throws Exception {
        CuratorFramework client = client();
        client.createContainers("/curator");
        List<CuratorTransactionResult> results = client.transaction().forOperations(
                client.transactionOp().create().forPath("/curator/txn", bytes("1")),
                client.transactionOp().create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/curator/txn/s-"),
                client.transactionOp().setData().withVersion(0).forPath("/curator/txn", bytes("2")),
                client.transactionOp().check().withVersion(1).forPath("/curator/txn"));
        equal(results.get(1).getResultPath(), "/curator/txn/s-0000000000");
        equal(results.get(2).getResultStat().getVersion(), 1);
        try {
            client.transaction().forOperations(
                    client.transactionOp().setData().forPath("/curator/txn", bytes("3")),
                    client.transactionOp().check().withVersion(99).forPath("/curator/txn"));
            check(false, "a failed check commits");
        } catch (KeeperException.BadVersionException e) {
            equal(e.getResults().size(), 2);
        }
        equal(new String(client.getData().forPath("/curator/txn")), "2");
    }

    void recipeEverydayCalls() throws Exception {
        CuratorFramework client = client();
        Stat stat = new Stat();
        String path = client.create().storingStatIn(stat).creatingParentContainersIfNeeded()
                .withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/curator/every/e-", bytes("x"));
        equal(stat.getEphemeralOwner(), client.getZookeeperClient().getZooKeeper().getSessionId());
        check(path.endsWith("e-0000000000"), path);
        client.create().withTtl(100_000).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/curator/every/ttl");
        client.create().withMode(CreateMode.CONTAINER).forPath("/curator/every/container");
        List<ACL> acl = Collections.singletonList(new ACL(ZooDefs.Perms.READ, new Id("world", "anyone")));
        client.create().withACL(acl).forPath("/curator/every/readable", bytes("r"));
        equal(client.getACL().forPath("/curator/every/readable"), acl);
        try {
            client.setData().forPath("/curator/every/readable", bytes("w"));
            check(false, "an ACL is not enforced");
        } catch (KeeperException.NoAuthException e) {
            equal(e.getPath(), "/curator/every/readable");
        }
        CountDownLatch answered = new CountDownLatch(2);
        client.getChildren().inBackground((c, event) -> answered.countDown()).forPath("/curator/every");
        client.sync().inBackground((c, event) -> answered.countDown()).forPath("/curator/every");
        check(answered.await(10, TimeUnit.SECONDS), "no answer in the background");
        check(client.getConfig().forEnsemble() != null, "no configuration");
        client.delete().guaranteed().deletingChildrenIfNeeded().forPath("/curator/every");
    }

    void recipeWatches() throws Exception {
        CuratorFramework client = client();
        CuratorFramework writer = client();
        writer.create().creatingParentsIfNeeded().forPath("/curator/watched");
        List<String> events = Collections.synchronizedList(new ArrayList<>());
        PersistentWatcher persistent = new PersistentWatcher(client, "/curator/watched", true);
        persistent.getListenable().addListener(event -> events.add(event.getType() + " " + event.getPath()));
        persistent.start();
        Thread.sleep(200);
        writer.setData().forPath("/curator/watched", bytes("1"));
        writer.create().forPath("/curator/watched/a");
        writer.delete().forPath("/curator/watched/a");
        List<String> wanted = List.of("NodeDataChanged /curator/watched", "NodeCreated /curator/watched/a", "NodeDeleted /curator/watched/a");
        eventually(() -> events.equals(wanted), "heard " + events);
        persistent.close();
        AtomicInteger heard = new AtomicInteger();
        Watcher watcher = (WatchedEvent event) -> {
            if (event.getType() == Watcher.Event.EventType.NodeDataChanged) {
                heard.incrementAndGet();
            }
        };
        client.getData().usingWatcher(watcher).forPath("/curator/watched");
        client.watches().remove(watcher).forPath("/curator/watched");
        writer.setData().forPath("/curator/watched", bytes("2"));
        client.sync().forPath("/curator/watched");
        client.getData().usingWatcher(watcher).forPath("/curator/watched");
        client.watches().removeAll().forPath("/curator/watched");
        writer.setData().forPath("/curator/watched", bytes("3"));
        Thread.sleep(200);
        equal(heard.get(), 0);
    }

    void recipeReconnect() throws Exception {
        CuratorFramework client = client();
        long session = client.getZookeeperClient().getZooKeeper().getSessionId();
        client.create().creatingParentsIfNeeded().withMode(CreateMode.EPHEMERAL).forPath("/curator/reconnect");
        CountDownLatch changed = new CountDownLatch(1);
        client.getData().usingWatcher((Watcher) event -> {
            if (event.getType() == Watcher.Event.EventType.NodeDataChanged) {
                changed.countDown();
            }
        }).forPath("/curator/reconnect");
        // The same session from elsewhere: the server closes the old connection, and the client attaches again.
        byte[] password = client.getZookeeperClient().getZooKeeper().getSessionPasswd();
        String[] parts = address.split(":");
        try (Socket twin = new Socket(parts[0], Integer.parseInt(parts[1]))) {
            DataOutputStream request = new DataOutputStream(twin.getOutputStream());
            request.writeInt(44);
            request.writeInt(0);
            request.writeLong(0);
            request.writeInt(10_000);
            request.writeLong(session);
            request.writeInt(16);
            request.write(password);
            request.flush();
            DataInputStream reply = new DataInputStream(twin.getInputStream());
            reply.readFully(new byte[12]);
            equal(reply.readLong(), session);
        }
        eventually(() -> client.getZookeeperClient().isConnected(), "no reconnect");
        equal(client.getZookeeperClient().getZooKeeper().getSessionId(), session);
        client().setData().forPath("/curator/reconnect", bytes("new"));
        check(changed.await(10, TimeUnit.SECONDS), "the watch is lost");
    }
}
