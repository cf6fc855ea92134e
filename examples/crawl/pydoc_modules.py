"""The modules whose documentation makes the site: those of Python 3.10 to 3.14 on Linux.

Left out are modules that do something when they are imported (``antigravity`` opens a browser,
``this`` prints), ``idlelib`` and ``test``, other systems' modules, and what is being retired.
A module that some Python lacks is skipped there.
"""

from __future__ import annotations

_TEXT = """
abc argparse array ast asyncio asyncio.base_events asyncio.base_futures asyncio.base_subprocess
asyncio.base_tasks asyncio.constants asyncio.coroutines asyncio.events asyncio.exceptions
asyncio.format_helpers asyncio.futures asyncio.locks asyncio.log asyncio.mixins
asyncio.protocols asyncio.queues asyncio.runners asyncio.selector_events asyncio.sslproto
asyncio.staggered asyncio.streams asyncio.subprocess asyncio.taskgroups asyncio.tasks
asyncio.threads asyncio.timeouts asyncio.transports asyncio.trsock asyncio.unix_events atexit
base64 bdb binascii bisect builtins bz2 cProfile calendar cmath cmd code codecs codeop
collections collections.abc colorsys compileall concurrent concurrent.futures
concurrent.futures.process concurrent.futures.thread configparser contextlib contextvars copy
copyreg csv ctypes ctypes.util curses curses.ascii curses.has_key curses.panel curses.textpad
dataclasses datetime dbm dbm.dumb decimal difflib dis doctest email email.base64mime
email.charset email.contentmanager email.encoders email.errors email.feedparser email.generator
email.header email.headerregistry email.iterators email.message email.mime
email.mime.application email.mime.audio email.mime.base email.mime.image email.mime.message
email.mime.multipart email.mime.nonmultipart email.mime.text email.parser email.policy
email.quoprimime email.utils encodings enum errno faulthandler fcntl filecmp fileinput fnmatch
fractions ftplib functools gc getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac
html html.entities html.parser http http.client http.cookiejar http.cookies http.server imaplib
importlib importlib.abc importlib.machinery importlib.metadata importlib.readers
importlib.resources importlib.resources.abc importlib.resources.readers
importlib.resources.simple importlib.simple importlib.util inspect io ipaddress itertools json
json.decoder json.encoder json.scanner json.tool keyword linecache locale logging logging.config
logging.handlers lzma mailbox marshal math mimetypes mmap modulefinder multiprocessing
multiprocessing.connection multiprocessing.context multiprocessing.dummy
multiprocessing.dummy.connection multiprocessing.forkserver multiprocessing.heap
multiprocessing.managers multiprocessing.pool multiprocessing.popen_fork
multiprocessing.popen_forkserver multiprocessing.popen_spawn_posix multiprocessing.process
multiprocessing.queues multiprocessing.reduction multiprocessing.resource_sharer
multiprocessing.resource_tracker multiprocessing.shared_memory multiprocessing.sharedctypes
multiprocessing.spawn multiprocessing.synchronize multiprocessing.util netrc ntpath numbers
operator optparse os pathlib pdb pickle pickletools pkgutil platform plistlib poplib posixpath
pprint profile pstats pty pwd py_compile pyclbr pydoc queue quopri random re readline reprlib
resource rlcompleter runpy sched secrets select selectors shelve shlex shutil signal smtplib
socket socketserver sqlite3 sqlite3.dbapi2 sqlite3.dump ssl stat statistics string stringprep
struct subprocess symtable sys sysconfig syslog tabnanny tarfile tempfile termios textwrap
threading time timeit token tokenize tomllib trace traceback tracemalloc tty types typing
unicodedata unittest unittest.async_case unittest.case unittest.loader unittest.main
unittest.mock unittest.result unittest.runner unittest.signals unittest.suite unittest.util
urllib urllib.error urllib.parse urllib.request urllib.response urllib.robotparser uuid venv
warnings wave weakref wsgiref wsgiref.handlers wsgiref.headers wsgiref.simple_server
wsgiref.types wsgiref.util wsgiref.validate xml xml.dom xml.dom.NodeFilter xml.dom.domreg
xml.dom.minicompat xml.dom.minidom xml.dom.pulldom xml.dom.xmlbuilder xml.etree
xml.etree.ElementInclude xml.etree.ElementPath xml.etree.ElementTree xml.parsers
xml.parsers.expat xml.sax xml.sax.expatreader xml.sax.handler xml.sax.saxutils xml.sax.xmlreader
xmlrpc xmlrpc.client xmlrpc.server zipapp zipfile zipimport zlib zoneinfo
"""

MODULES: list[str] = _TEXT.split()
