"""nbdag's notebook execution as a papermill engine: ``papermill --engine nbdag``."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import Any, TextIO

from papermill.engines import Engine, NotebookExecutionManager
from papermill.log import logger

from nbmake_dag.core.model import KernelSettings
from nbmake_dag.execute.notebook.client import CellClient, CellError, NotebookExit
from nbmake_dag.execute.notebook.kernel import Kernel
from nbmake_dag.execute.notebook.provisioner import KernelStart
from nbmake_dag.execute.processes.zygote_client import Zygote


class NbdagEngine(Engine):  # type: ignore[misc]  # papermill has no types
    """Executes what papermill has parameterized, and leaves to papermill what it records and saves."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: NotebookExecutionManager,
        kernel_name: str,
        log_output: bool = False,  # noqa: FBT001, FBT002  # papermill's signature
        stdout_file: TextIO | None = None,
        stderr_file: TextIO | None = None,
        execution_timeout: int | None = None,
        **_options: Any,
    ) -> None:
        files = {"stdout": stdout_file, "stderr": stderr_file}

        def printed(stream: str, text: str, _cell: int) -> None:
            if log_output:
                logger.info(text)
            if file := files[stream]:
                file.write(text)
                file.flush()

        with tempfile.TemporaryDirectory(prefix="nbdag-", ignore_cleanup_errors=True) as runtime:
            try:
                asyncio.run(_execute(nb_man, kernel_name, runtime, execution_timeout, printed))
            finally:
                Zygote.plain(runtime).end()


async def _execute(
    nb_man: NotebookExecutionManager, kernel_name: str, runtime: str, cell_timeout: int | None, printed: Any
) -> None:
    folder, log = (os.path.join(runtime, name) for name in ("ipython", "kernel.log"))
    start = KernelStart(runtime=runtime, ipython_dir=folder, log=log, warm=False)
    kernel = await Kernel.launch(kernel_name, start, env=dict(os.environ), cwd=os.getcwd())
    try:
        await kernel.wait_ready()
        nb_man.nb.metadata["language_info"] = kernel.info["language_info"]
        client = CellClient(nb_man.nb, kernel, printed)
        client.timeout = cell_timeout
        for position, cell in enumerate(nb_man.nb.cells):
            nb_man.cell_start(cell, position)
            try:
                await client.run(position)
            except NotebookExit:
                break
            except CellError as error:
                nb_man.cell_exception(cell, cell_index=position, exception=error)
                break
            finally:
                nb_man.cell_complete(cell, cell_index=position)
        await kernel.shut_down(KernelSettings().shutdown_timeout)
    finally:
        await kernel.close()
