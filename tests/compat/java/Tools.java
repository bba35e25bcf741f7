import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the main methods of Apache Kafka's own tools, one after the other, in one JVM: a start costs more than most tools.
 *
 * Compiled against each version of Kafka. On standard input: the number of words, each word (the class first), the
 * tool's standard input. On standard output, for each: the exit code, standard output, standard error. A tool that
 * outlives its time is answered with code 124 and its stack; the JVM is then of no more use.
 */
public final class Tools {
    private static final long SECONDS_MAX = 60;

    private static final class Exited extends Error {
        private Exited() {
            super("the tool has ended", null, false, false);
        }
    }

    /** One stream for the life of the JVM, because Scala keeps the first that it saw. */
    private static final class Captured extends OutputStream {
        private ByteArrayOutputStream bytes = new ByteArrayOutputStream();

        @Override
        public synchronized void write(int value) {
            bytes.write(value);
        }

        @Override
        public synchronized void write(byte[] values, int from, int count) {
            bytes.write(values, from, count);
        }

        private synchronized byte[] take() {
            byte[] taken = bytes.toByteArray();
            bytes.reset();
            return taken;
        }
    }

    /** Loads the tools anew for each run, because those in Scala count their messages in an object. */
    private static final class Fresh extends ClassLoader {
        private Fresh() {
            super(Tools.class.getClassLoader());
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (!name.startsWith("kafka.tools.") || findLoadedClass(name) != null) {
                return super.loadClass(name, resolve);
            }
            try (InputStream file = getResourceAsStream(name.replace('.', '/') + ".class")) {
                byte[] bytes = file.readAllBytes();
                return defineClass(name, bytes, 0, bytes.length);
            } catch (IOException e) {
                throw new ClassNotFoundException(name, e);
            }
        }
    }

    private static volatile Integer firstCode;

    public static void main(String[] arguments) throws Exception {
        DataInputStream questions = new DataInputStream(System.in);
        DataOutputStream answers = new DataOutputStream(System.out);
        Captured out = new Captured();
        Captured err = new Captured();
        System.setOut(new PrintStream(out, true, "UTF-8"));
        System.setErr(new PrintStream(err, true, "UTF-8"));
        Exit.setExitProcedure(Tools::exit);
        Exit.setHaltProcedure(Tools::exit);
        for (int words = questions.readInt(); words > 0; words = questions.readInt()) {
            String[] command = new String[words];
            for (int word = 0; word < words; word++) {
                command[word] = new String(bytes(questions), "UTF-8");
            }
            System.setIn(new ByteArrayInputStream(bytes(questions)));
            answers.writeInt(run(command));
            System.out.flush();
            System.err.flush();
            for (Captured stream : List.of(out, err)) {
                byte[] printed = stream.take();
                answers.writeInt(printed.length);
                answers.write(printed);
            }
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static void exit(int code, String message) {
        if (firstCode == null) {
            firstCode = code;
        }
        if (message != null) {
            System.err.println(message);
        }
        throw new Exited();
    }

    private static byte[] bytes(DataInputStream input) throws Exception {
        byte[] bytes = new byte[input.readInt()];
        input.readFully(bytes);
        return bytes;
    }

    private static int run(String[] command) throws Exception {
        firstCode = null;
        Map<Thread, Thread> before = new IdentityHashMap<>(shutdownHooks());
        Thread tool = new Thread(() -> call(command), "tool");
        tool.start();
        tool.join(SECONDS_MAX * 1000);
        if (tool.isAlive()) {
            for (StackTraceElement frame : tool.getStackTrace()) {
                System.err.println("    still in " + frame);
            }
            return 124;
        }
        List<Thread> hooks = new ArrayList<>(shutdownHooks().keySet());
        hooks.removeAll(before.keySet());
        for (Thread hook : hooks) {
            Runtime.getRuntime().removeShutdownHook(hook);
            hook.start();
            hook.join(SECONDS_MAX * 1000);
        }
        return firstCode == null ? 0 : firstCode;
    }

    private static void call(String[] command) {
        String[] arguments = java.util.Arrays.copyOfRange(command, 1, command.length);
        try {
            new Fresh().loadClass(command[0]).getMethod("main", String[].class).invoke(null, (Object) arguments);
        } catch (InvocationTargetException e) {
            if (!(e.getCause() instanceof Exited)) {
                e.getCause().printStackTrace();
                firstCode = firstCode == null ? 1 : firstCode;
            }
        } catch (ReflectiveOperationException e) {
            e.printStackTrace();
            firstCode = 1;
        }
    }

    /** Some tools print their last lines from a hook; it needs --add-opens java.base/java.lang=ALL-UNNAMED. */
    @SuppressWarnings("unchecked")
    private static Map<Thread, Thread> shutdownHooks() throws Exception {
        Field hooks = Class.forName("java.lang.ApplicationShutdownHooks").getDeclaredField("hooks");
        hooks.setAccessible(true);
        return (Map<Thread, Thread>) hooks.get(null);
    }
}
