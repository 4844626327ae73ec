"""Make the bucket of the lake where there is none: ``python deploy/make_bucket.py NAME``.

Endpoint, region and keys come from the AWS_* variables, as for every other part. What goes wrong is
one sentence and an exit code, as everywhere (docs/reference/exit-codes.md).
"""

from __future__ import annotations

import sys

from pyarrow import fs

from paylake.errors import PaylakeError, disk_fault
from paylake.store import access


def main(name: str) -> int:
    """Make the bucket if it is not there.

    :raises EnvironmentFault: when the store does not answer or takes no bucket of these keys, or
        the environment does not say how to reach it
    """
    given = access()
    files = fs.S3FileSystem(
        access_key=given.key,
        secret_key=given.secret,
        region=given.region,
        endpoint_override=given.host or None,
        scheme="https" if given.is_encrypted else "http",
        allow_bucket_creation=True,
    )
    try:
        if files.get_file_info(name).type == fs.FileType.Directory:
            print("nothing to do")
            return 0
        files.create_dir(name)
    except OSError as error:
        raise disk_fault(error, f"s3://{name}") from error
    print(f"made bucket {name}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_bucket.py NAME")
    try:
        sys.exit(main(sys.argv[1]))
    except PaylakeError as fault:
        print(f"make_bucket: {fault.sentence()}", file=sys.stderr)
        sys.exit(fault.exit_code)
