"""What can go wrong before anything runs on a cluster; each is told in one line, and ends with exit code 2."""


class DeployError(Exception):
    """Base: the message says what is wrong and what to do."""


class BuildError(DeployError):
    """What should be packed is not complete, or not what it should be; nothing was left in dist/."""


class RequestError(DeployError):
    """A request that no service would take, or that would not do what was asked for; nothing was sent."""
