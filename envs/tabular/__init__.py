"""Small worlds of numbered states, and their exact solutions: for teaching, and for tests of what learns.

    env = jaxrl.make("FrozenLake-v1")
    model = transitions(env)                        # P [S, A, S], R [S, A], which states end, where episodes start
    values = optimal_values(env, discount=0.99)     # V* [S]
    q = action_values(env, values, discount=0.99)   # Q* [S, A]
    policy_values(env, policy, discount=0.99)       # V of probabilities [S, A]

Observations and actions are integers (`Discrete`). The networks of jaxrl read such an observation one-hot;
`make(..., flatten=True)` shows it one-hot to everyone.
"""

from .cliff_walking import CliffWalking as CliffWalking
from .frozen_lake import FrozenLake as FrozenLake
from .outcomes import Outcomes as Outcomes
from .outcomes import TabularEnvironment as TabularEnvironment
from .random_walk import RandomWalk as RandomWalk
from .solutions import Transitions as Transitions
from .solutions import action_values as action_values
from .solutions import optimal_values as optimal_values
from .solutions import policy_values as policy_values
from .solutions import transitions as transitions
