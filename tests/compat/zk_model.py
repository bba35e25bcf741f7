"""What ZooKeeper 3.8 answers, as a model: a tree, sessions and watches, without time and without bytes.

`Model.apply` takes an operation and says the error, the result and, through `Model.events`, what each connection hears.
zxids are labels: the number of the write that made them. The model was itself judged by a real ZooKeeper: the soak runs
against one with `TERN_ZOOKEEPER_JUDGE`.
"""

import base64
import hashlib

from zk_wire import CHILDREN_CHANGED, CREATED, DATA_CHANGED, DELETED

READ, WRITE, CREATE, DELETE, ADMIN = 1, 2, 4, 8, 16
OK, BAD_ARGUMENTS, NO_NODE, NO_AUTH, BAD_VERSION = 0, -8, -101, -102, -103
NO_CHILDREN_FOR_EPHEMERALS, NODE_EXISTS, NOT_EMPTY, INVALID_ACL, NO_WATCHER = -108, -110, -111, -114, -121


class Refused(Exception):
    """An operation that changes nothing."""

    def __init__(self, error):
        super().__init__(error)
        self.error = error


def digest(user, password):
    hashed = hashlib.sha1(f"{user}:{password}".encode()).digest()
    return f"{user}:{base64.b64encode(hashed).decode()}"


class Znode:
    def __init__(self, data, acl, label, owner):
        self.data, self.acl, self.owner = data, acl, owner
        self.czxid = self.mzxid = self.pzxid = label
        self.version = self.aversion = self.creates = 0
        self.children = {}

    def stat(self):
        return {
            "czxid": self.czxid,
            "mzxid": self.mzxid,
            "version": self.version,
            "cversion": 2 * self.creates - len(self.children),
            "aversion": self.aversion,
            "ephemeral_owner": self.owner[1] if self.owner and self.owner[0] == "session" else 0,
            "data_length": len(self.data or b""),
            "num_children": len(self.children),
            "pzxid": self.pzxid,
        }

    def copy(self):
        other = Znode(self.data, self.acl, self.czxid, self.owner)
        other.__dict__.update(self.__dict__)
        other.children = {name: child.copy() for name, child in self.children.items()}
        return other


class Client:
    """A session and the watches of its connection. `ids` belong to the connection."""

    def __init__(self, number):
        self.number = number
        self.is_attached = True
        self.seen = 0
        self.connect()

    def connect(self):
        self.ids = {("ip", "127.0.0.1")}
        self.data, self.child, self.persistent, self.recursive = set(), set(), set(), set()
        self.heard = []


class Model:
    """`root` is the path under which everything happens; it exists and is open."""

    def __init__(self, root):
        self.root = root
        self.top = Znode(b"", [(31, "world", "anyone")], 0, None)
        self.clients = {}
        self.label = 0
        self.next_session = 1

    # Paths and permissions.

    def find(self, path):
        if path == self.root:
            return self.top
        if not path.startswith(self.root + "/"):
            return None
        node = self.top
        for name in path[len(self.root) + 1 :].split("/"):
            node = node.children.get(name)
            if node is None:
                return None
        return node

    def existing(self, path):
        node = self.find(path)
        if node is None:
            raise Refused(NO_NODE)
        return node

    @staticmethod
    def permits(acl, perm, ids):
        return any(
            perms & perm and ((scheme, name) == ("world", "anyone") or (scheme, name) in ids
                               or scheme == "ip" and name == "127.0.0.0/8")
            for perms, scheme, name in acl
        )

    def check(self, node, perm, client):
        if not self.permits(node.acl, perm, client.ids):
            raise Refused(NO_AUTH)

    @staticmethod
    def check_path(path):
        parts = path.split("/")
        if not path.startswith("/") or path == "/" or any(part in ("", ".", "..") for part in parts[1:]) or "\x01" in path:
            raise Refused(BAD_ARGUMENTS)

    @staticmethod
    def fixed(acl, ids):
        if not acl:
            raise Refused(INVALID_ACL)
        out = []
        for perms, scheme, name in acl:
            if scheme == "auth":
                own = sorted(entry for entry in ids if entry[0] != "ip")
                if not own:
                    raise Refused(INVALID_ACL)
                new = [(perms, *entry) for entry in own]
            elif (scheme, name) == ("world", "anyone") or scheme == "digest" and name.count(":") == 1 or scheme == "ip":
                new = [(perms, scheme, name)]
            else:
                raise Refused(INVALID_ACL)
            out += [entry for entry in new if entry not in out]
        return out

    # Watches.

    def fire(self, kind, path, acl):
        """What data watches hear, and for a deletion child watches as well; once for each connection."""
        for client in self.attached():
            hit = path in client.data or path in client.persistent or any(
                path == above or path.startswith(above + "/") for above in client.recursive
            )
            client.data.discard(path)
            if kind == DELETED:
                hit = hit or path in client.child
                client.child.discard(path)
            if hit and self.permits(acl, READ, client.ids):
                client.heard.append((kind, path))

    def fire_children(self, path, acl):
        for client in self.attached():
            hit = path in client.child or path in client.persistent
            client.child.discard(path)
            if hit and self.permits(acl, READ, client.ids):
                client.heard.append((CHILDREN_CHANGED, path))

    def attached(self):
        return [client for client in self.clients.values() if client.is_attached]

    # Operations: each returns its result or raises `Refused`.

    def create(self, client, path, data, acl, mode, ttl=None):
        if mode not in range(7) or mode in (5, 6) and ttl is None:
            raise Refused(BAD_ARGUMENTS)
        if ttl is not None and (mode not in (5, 6) or not 0 < ttl < 1 << 40):
            raise Refused(BAD_ARGUMENTS)
        is_sequential = mode in (2, 3, 6)
        if "/" not in path:
            raise Refused(BAD_ARGUMENTS)
        fixed = self.fixed(acl, client.ids)
        above_path = path.rsplit("/", 1)[0]
        above = self.existing(above_path)
        self.check(above, CREATE, client)
        if is_sequential:
            path += f"{above.creates:010d}"
        self.check_path(path)
        name = path.rsplit("/", 1)[1]
        if name in above.children:
            raise Refused(NODE_EXISTS)
        if above.owner and above.owner[0] == "session":
            raise Refused(NO_CHILDREN_FOR_EPHEMERALS)
        owner = None
        if mode in (1, 3):
            owner = ("session", client.number)
        elif mode == 4:
            owner = ("container", 0)
        elif mode in (5, 6):
            owner = ("ttl", ttl)
        node = above.children[name] = Znode(data, fixed, self.label, owner)
        above.creates += 1
        above.pzxid = self.label
        self.pending.append((CREATED, path, node.acl, above_path, above.acl))
        return {"path": path, "stat": node.stat()}

    def delete(self, client, path, version):
        if path in ("/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config") or "/" not in path:
            raise Refused(BAD_ARGUMENTS)
        above_path, name = path.rsplit("/", 1)
        above = self.existing(above_path)
        self.check(above, DELETE, client)
        node = self.existing(path)
        if version not in (-1, node.version):
            raise Refused(BAD_VERSION)
        if node.children:
            raise Refused(NOT_EMPTY)
        self.remove(path, node, above_path, above)
        return {}

    def remove(self, path, node, above_path, above):
        del above.children[path.rsplit("/", 1)[1]]
        above.pzxid = self.label
        self.pending.append((DELETED, path, node.acl, above_path, above.acl))

    def set_data(self, client, path, data, version):
        self.check_path(path)
        node = self.existing(path)
        self.check(node, WRITE, client)
        if version not in (-1, node.version):
            raise Refused(BAD_VERSION)
        node.data, node.mzxid, node.version = data, self.label, node.version + 1
        self.pending.append((DATA_CHANGED, path, node.acl, None, None))
        return {"stat": node.stat()}

    def set_acl(self, client, path, acl, version):
        self.check_path(path)
        fixed = self.fixed(acl, client.ids)
        node = self.existing(path)
        self.check(node, ADMIN, client)
        if version not in (-1, node.aversion):
            raise Refused(BAD_VERSION)
        node.acl, node.aversion = fixed, node.aversion + 1
        return {"stat": node.stat()}

    def check_version(self, client, path, version):
        self.check_path(path)
        node = self.existing(path)
        self.check(node, READ, client)
        if version not in (-1, node.version):
            raise Refused(BAD_VERSION)
        return {}

    def exists(self, client, path, watch):
        if watch:
            client.data.add(path)
        return {"stat": self.existing(path).stat()}

    def get_data(self, client, path, watch):
        node = self.existing(path)
        self.check(node, READ, client)
        if watch:
            client.data.add(path)
        return {"data": node.data, "stat": node.stat()}

    def get_children(self, client, path, watch):
        node = self.existing(path)
        self.check(node, READ, client)
        if watch:
            client.child.add(path)
        return {"children": sorted(node.children), "stat": node.stat()}

    def get_acl(self, client, path):
        node = self.existing(path)
        self.check(node, READ | ADMIN, client)
        acl = node.acl
        if not self.permits(acl, ADMIN, client.ids):
            acl = [(p, s, i.split(":")[0] + ":x" if s == "digest" else i) for p, s, i in acl]
        return {"acl": sorted(acl), "stat": node.stat()}

    def all_children(self, client, path):
        node = self.existing(path)
        self.check(node, READ, client)
        return {"count": sum(1 for _ in self.walk(path, node)) - 1}

    def ephemerals(self, client, prefix):
        own = ("session", client.number)
        paths = [path for path, node in self.walk(self.root, self.top) if node.owner == own and path.startswith(prefix)]
        return {"paths": sorted(paths)}

    def walk(self, path, node):
        yield path, node
        for name, child in node.children.items():
            yield from self.walk(f"{path}/{name}", child)

    def who_am_i(self, client):
        return {"ids": sorted((scheme, name.split(":")[0]) for scheme, name in client.ids)}

    # Transactions.

    def write(self, act):
        """One write: everything or nothing, and always a label."""
        self.label += 1
        self.pending = []
        before = self.top.copy()
        try:
            result = act()
        except Refused:
            self.top = before
            raise
        for kind, path, acl, above, above_acl in self.pending:
            self.fire(kind, path, acl)
            if above is not None:
                self.fire_children(above, above_acl)
        return result

    def multi(self, client, operations):
        """The results of all, or the errors of all."""
        done = []

        def act():
            for name, arguments in operations:
                done.append((name, getattr(self, name)(client, **arguments)))

        try:
            self.write(act)
            return done
        except Refused as refused:
            errors = [OK] * len(done) + [refused.error] + [-2] * (len(operations) - len(done) - 1)
            return [("error", {"error": error}) for error in errors]

    def open(self):
        self.label += 1
        client = self.clients[self.next_session] = Client(self.next_session)
        self.next_session += 1
        return client

    def close(self, client):
        def act():
            del self.clients[client.number]
            own = ("session", client.number)
            for path, node in list(self.walk(self.root, self.top)):
                if node.owner == own:
                    above = path.rsplit("/", 1)[0]
                    self.remove(path, node, above, self.find(above))

        self.write(act)

    def detach(self, client):
        client.is_attached = False
        client.seen = self.label
        client.remembered = {kind: sorted(getattr(client, kind)) for kind in ("data", "child", "persistent", "recursive")}

    def attach(self, client):
        remembered = client.remembered
        client.connect()
        client.is_attached = True
        return remembered

    def set_watches(self, client, seen, data, exist, child, persistent, recursive):
        for path in data:
            node = self.find(path)
            self.rearm(client, client.data, path, DELETED if node is None else DATA_CHANGED,
                       node is None or node.mzxid > seen)
        for path in exist:
            self.rearm(client, client.data, path, CREATED, self.find(path) is not None)
        for path in child:
            node = self.find(path)
            self.rearm(client, client.child, path, DELETED if node is None else CHILDREN_CHANGED,
                       node is None or node.pzxid > seen)
        client.persistent.update(persistent)
        client.recursive.update(recursive)

    @staticmethod
    def rearm(client, table, path, kind, fires):
        # Permission was checked when the watch was set.
        if fires:
            client.heard.append((kind, path))
        else:
            table.add(path)

    def remove_watches(self, client, path, kind):
        found = False
        tables = [client.persistent, client.recursive] if kind == 3 else []
        tables += [client.child] if kind in (1, 3) else []
        tables += [client.data] if kind in (2, 3) else []
        for table in tables:
            found |= path in table
            table.discard(path)
        if not found:
            raise Refused(NO_WATCHER)
        return {}

    def has_watch(self, client, path, kind):
        if not (kind in (1, 3) and path in client.child or kind in (2, 3) and path in client.data):
            raise Refused(NO_WATCHER)
        return {}
